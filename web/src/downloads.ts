import { paintingAs } from './comparison';
import { byId, make } from './dom';
import { paintFile } from './painter';
import type { Paint } from './painting';
import type { Photo } from './pictures';
import { complain, say } from './status';

const button = byId<HTMLButtonElement>('download');
const fullButton = byId<HTMLButtonElement>('download-full');
const stop = byId<HTMLButtonElement>('stop');
const type = byId<HTMLSelectElement>('type');

interface Size {
  width: number;
  height: number;
}

/** The painting that is shown, what it is of, and how it was painted. */
export interface Painted {
  photo: Photo;
  how: Paint;
  /** What the file is called, without its kind. */
  name: string;
  shown: Size;
  whole: Size;
}

/** Offers the painting for download, as it is shown and in the photograph's full size. */
export function offer(painted: Painted): void {
  const { shown, whole } = painted;
  button.disabled = fullButton.disabled = false;
  button.textContent = `Download ${measure(shown)}`;
  button.onclick = async () => save(await paintingAs(type.value), painted.name);
  fullButton.textContent = `Download full size, ${measure(whole)}`;
  fullButton.hidden = whole.width <= shown.width;
  fullButton.onclick = () => downloadFull(painted);
}

/** Offers nothing for now. */
export function retract(): void {
  button.disabled = fullButton.disabled = true;
}

async function downloadFull({ photo, how, name, whole }: Painted): Promise<void> {
  let isStopped = false;
  stop.onclick = () => {
    isStopped = true;
  };
  stop.hidden = false;
  stop.focus();
  fullButton.disabled = true;
  const report = (done: number, of: number) => {
    if (isStopped) throw new Error('Stopped.');
    say(`Painting ${measure(whole)} pixels, ${Math.round((100 * done) / of)} % done`, done / of);
  };
  try {
    save(await paintFile(await photo.file(), how, type.value, report), name);
    say(`${measure(whole)} pixels, painted and saved`);
  } catch (error) {
    say('');
    if (!isStopped) complain([`The full size could not be painted: ${(error as Error).message}`]);
  }
  fullButton.disabled = false;
  if (document.activeElement === stop) fullButton.focus();
  stop.hidden = true;
}

function save(file: Blob, name: string): void {
  const href = URL.createObjectURL(file);
  make('a', { href, download: `${name}.${file.type === 'image/png' ? 'png' : 'jpg'}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000); // the browser is done with it by then
}

function measure({ width, height }: Size): string {
  return `${width} x ${height}`;
}

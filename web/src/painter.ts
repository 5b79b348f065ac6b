import { proxy, wrap } from 'comlink';
import type { OnLoading } from './network';
import type { OnStep, Paint } from './painting';
import { type Photo, pixelsOf } from './pictures';
import type { Style } from './styles';
import type { Painter } from './worker';

const STYLE_SIZE = 512; // shorter side of style pictures in pixels, as on the other page

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const painter = wrap<Painter>(worker);
const styles = new WeakMap<Photo, Promise<Style>>();

/** Loads the network; gives what it computes with. */
export const load = (onLoading: OnLoading): Promise<string> => painter.load(proxy(onLoading));

/** The statistics of a style, which are computed once. */
export function styleOf(photo: Photo): Promise<Style> {
  const known = styles.get(photo);
  if (known) return known;
  const encode = async () => painter.encodeStyle((await pixelsOf(photo, STYLE_SIZE))[0]);
  const style = encode();
  styles.set(photo, style);
  style.catch(() => styles.delete(photo));
  return style;
}

/** Sets the photograph that is painted. */
export const setContent = (pixels: ImageBitmap): Promise<void> => painter.encodeContent(pixels);

/** Paints the photograph. */
export const paint = (how: Paint): Promise<ImageBitmap> => painter.paint(how);

/** Paints a picture in its full size, and gives a file of a type. */
export const paintFile = (file: Blob, how: Paint, type: string, onStep: OnStep): Promise<Blob> =>
  painter.paintFile(file, how, type, proxy(onStep));

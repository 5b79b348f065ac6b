import { showPainting, showPhotograph } from './comparison';
import { byId } from './dom';
import { offer, retract } from './downloads';
import { acceptFiles } from './drop';
import { openClip, setUpFootage } from './footage';
import { Gallery } from './gallery';
import { Mixer } from './mixer';
import { workOffline } from './offline';
import { load, paint, setContent, styleOf } from './painter';
import type { Paint } from './painting';
import { examples, openPhoto, type Photo, pixelsOf } from './pictures';
import { slider } from './slider';
import { complain, say } from './status';
import { mix } from './styles';
import { latest } from './tasks';

const LIVE_SECONDS = 0.2; // for a frame; frames are as large as that allows
const [LIVE_LEAST, LIVE_MOST] = [96, 512]; // their shorter sides in pixels

const colors = byId<HTMLSelectElement>('colors');
const size = byId<HTMLSelectElement>('size');
const strength = byId<HTMLInputElement>('strength');

const photographs = new Gallery(
  byId('photographs'),
  examples(
    import.meta.glob('../../examples/content/*.jpg', { query: '?url', import: 'default', eager: true }),
  ),
  'cat',
  () => refresh(),
);
const styles = new Gallery(
  byId('styles'),
  examples(
    import.meta.glob('../../examples/style/*.jpg', { query: '?url', import: 'default', eager: true }),
  ),
  'marbling',
  () => {
    mixer.show(styles.picked, styles.most);
    refresh();
  },
);
const mixer = new Mixer(byId('mix'), () => refresh());

let device: string | undefined; // what the network computes with, once it is loaded
let isLive = false; // frames of the camera or of a clip are painted
let opened: { photo: Photo; size: string; pixels: ImageBitmap; whole: DOMRectReadOnly } | undefined;

/** Shows what is chosen, and paints it. */
const repaint = latest(async () => {
  if (isLive) return;
  byId('result').ariaBusy = 'true';
  const started = performance.now();
  const [photo] = photographs.picked;
  if (opened?.photo !== photo || opened.size !== size.value) {
    const [pixels, whole] = await pixelsOf(photo, Number(size.value));
    opened = { photo, size: size.value, pixels, whole };
    showPhotograph(pixels);
    retract();
    if (device) await setContent(pixels);
  }
  if (!device) return;
  const used = styles.picked;
  const how = await paintOf(used);
  const painting = await paint(how);
  if (isLive) return;
  showPainting(painting);
  const name = [photo.name, 'in', ...used.map((style) => style.name)].join('_');
  offer({ photo, how, name, shown: painting, whole: opened.whole });
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  say(`${painting.width} x ${painting.height} pixels, painted in ${seconds} s, ${device}`);
  byId('result').ariaBusy = 'false';
});

async function refresh(): Promise<void> {
  try {
    await repaint();
  } catch (error) {
    complain([(error as Error).message]);
  }
}

async function paintOf(used: Photo[]): Promise<Paint> {
  const encoded = await Promise.all(used.map(styleOf));
  return {
    style: mix(encoded, mixer.weights(used)),
    alpha: strength.valueAsNumber / 100,
    keepColors: colors.value === 'keep',
  };
}

let liveSize = 256;

/** Paints a frame, in a size for which there is time. */
async function paintFrame(frame: HTMLVideoElement): Promise<void> {
  isLive = true;
  retract();
  const started = performance.now();
  const scale = liveSize / Math.min(frame.videoWidth, frame.videoHeight);
  const [resizeWidth, resizeHeight] = [frame.videoWidth, frame.videoHeight].map((side) =>
    Math.round(scale * side),
  );
  const pixels = await createImageBitmap(frame, { resizeWidth, resizeHeight, resizeQuality: 'medium' });
  await setContent(pixels);
  const painting = await paint(await paintOf(styles.picked));
  showPhotograph(pixels);
  showPainting(painting);
  const seconds = (performance.now() - started) / 1000;
  say(`${resizeWidth} x ${resizeHeight} pixels, ${(1 / seconds).toFixed(1)} pictures a second`);
  const fitting = Math.round((liveSize * Math.sqrt(LIVE_SECONDS / seconds)) / 32) * 32;
  liveSize = Math.min(Math.max(fitting, LIVE_LEAST), LIVE_MOST);
}

acceptFiles(byId('photograph-files'), document.body, async (file) => {
  if (file.type.startsWith('video/')) await openClip(file);
  else photographs.add(await openPhoto(file, file.name));
});
acceptFiles(byId('style-files'), byId('style-picks'), async (file) => {
  styles.add(await openPhoto(file, file.name));
});
setUpFootage({
  onPhoto: async (photo) => photographs.add(await openPhoto(photo, 'camera')),
  onFrame: paintFrame,
  onEnd: () => {
    isLive = false;
    opened = undefined;
    refresh();
  },
});
byId('combination').onchange = (event) => styles.limit(Number((event.target as HTMLInputElement).value));
byId('picks').addEventListener('click', () => complain([]));
for (const choice of [colors, size]) choice.onchange = refresh;
slider(strength, refresh);

refresh();
try {
  device = await load((loaded, total) => {
    const [had, all] = [loaded, total].map((bytes) => (bytes / 1e6).toFixed(1));
    say(`Loading the network: ${had} of ${all} MB`, loaded / total);
  });
  opened = undefined;
  say('Painting ...');
  await refresh();
  await workOffline();
} catch (error) {
  say('');
  complain([`The page could not start: ${(error as Error).message}`]);
}

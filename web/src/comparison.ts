import { byId } from './dom';

const figure = byId('comparison');
const painting = byId<HTMLCanvasElement>('painting');
const photograph = byId<HTMLCanvasElement>('photograph');
const divider = byId<HTMLInputElement>('divider');

const divide = () => figure.style.setProperty('--shown', `${divider.value}%`);
divider.addEventListener('input', divide);
divide();

/** Shows the photograph, left of the divider; without a painting yet, everywhere. */
export function showPhotograph(picture: ImageBitmap): void {
  figure.style.setProperty('--aspect', String(picture.width / picture.height));
  draw(photograph, picture);
}

/** Shows the painting, right of the divider. */
export function showPainting(picture: ImageBitmap): void {
  draw(painting, picture);
  figure.dataset.painted = '';
}

/** The painting that is shown, as a file of a type. */
export function paintingAs(type: string): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const done = (blob: Blob | null) => (blob ? resolve(blob) : reject(new Error('no room for the file')));
    painting.toBlob(done, type, 0.95);
  });
}

function draw(canvas: HTMLCanvasElement, picture: ImageBitmap): void {
  const { width, height } = picture;
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d', { alpha: false })!;
  context.fillStyle = 'white'; // below transparent pixels, as the network sees them
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0);
}

import type { Picture } from './painting';

/** A decoded picture, of which parts are read; transparent pixels are laid on white. */
export class Bitmap implements Picture {
  readonly width: number;
  readonly height: number;

  constructor(private readonly bitmap: ImageBitmap) {
    ({ width: this.width, height: this.height } = bitmap);
  }

  read(left: number, top: number, width: number, height: number): ImageData {
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
    context.fillStyle = 'white';
    context.fillRect(0, 0, width, height);
    context.drawImage(this.bitmap, -left, -top);
    return context.getImageData(0, 0, width, height);
  }

  /** Gives its memory back. */
  close(): void {
    this.bitmap.close();
  }
}

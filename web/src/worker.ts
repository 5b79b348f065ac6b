import { expose } from 'comlink';
import { Bitmap } from './bitmap';
import { Network, type OnLoading } from './network';
import { type Content, encode, type OnStep, type Paint, paint } from './painting';
import type { Style } from './styles';

let network: Network;
let content: Content;

/** What the page has computed beside it, so that it stays responsive. */
const painter = {
  /** Loads the network; before, nothing else may be asked for. Tells what it computes with. */
  async load(onLoading: OnLoading): Promise<string> {
    network = await Network.load(onLoading);
    return network.device;
  },

  /** The statistics of a picture as style. */
  async encodeStyle(picture: ImageBitmap): Promise<Style> {
    const { statistics } = await encode(network, new Bitmap(picture), () => {});
    picture.close();
    return statistics;
  },

  /** Sets the photograph that `paint` paints. */
  async encodeContent(picture: ImageBitmap): Promise<void> {
    content = await encode(network, new Bitmap(picture), () => {});
  },

  /** Paints the photograph. */
  async paint(how: Paint): Promise<ImageBitmap> {
    return (await canvasOf(content, how, () => {})).transferToImageBitmap();
  },

  /** Paints a picture of any size, and gives the painting as a file of a type. */
  async paintFile(file: Blob, how: Paint, type: string, onStep: OnStep): Promise<Blob> {
    const picture = new Bitmap(await createImageBitmap(file));
    try {
      // A step of painting takes about twice as long as one of encoding.
      const encoded = await encode(network, picture, (done, of) => onStep(done, 3 * of));
      const canvas = await canvasOf(encoded, how, (done, of) => onStep(of + 2 * done, 3 * of));
      return await canvas.convertToBlob({ type, quality: 0.95 });
    } finally {
      picture.close();
    }
  },
};

async function canvasOf(what: Content, how: Paint, onStep: OnStep): Promise<OffscreenCanvas> {
  const canvas = new OffscreenCanvas(what.picture.width, what.picture.height);
  const context = canvas.getContext('2d', { alpha: false });
  if (!context) throw new Error('this browser has no room for a picture of this size');
  await paint(network, what, how, context.putImageData.bind(context), onStep);
  return canvas;
}

export type Painter = typeof painter;
expose(painter);

import type { Network } from './network';
import { type Features, Moments, type Style } from './styles';
import { roundUp, type Span, spans } from './tiles';

/** Larger pictures are computed in tiles with sides of so many pixels, which take some 300 MB. */
const TILE = 1024;

const LUMINANCE = [0.299, 0.587, 0.114]; // ITU-R BT.601

/** A picture whose pixels can be read part by part. */
export interface Picture {
  width: number;
  height: number;
  read(left: number, top: number, width: number, height: number): ImageData;
}

/** A content as it is painted from. */
export interface Content {
  picture: Picture;
  statistics: Style;
  /** Of all of it, where it is small enough; those of tiles are computed again. */
  features?: Features;
}

/** Is told how many steps are done of all; may wait, and may throw, which ends the work. */
export type OnStep = (done: number, of: number) => Promise<void> | void;

/** Encodes a picture as a content; its statistics are those of a style. */
export async function encode(network: Network, picture: Picture, onStep: OnStep): Promise<Content> {
  const tiles = grid(network, picture, network.encoderRadius);
  let moments: Moments | undefined;
  let features: Features | undefined;
  for (const [i, [y, x]] of tiles.entries()) {
    await onStep(i, tiles.length);
    features = await network.encode(read(picture, y, x));
    moments ??= new Moments(features.channels);
    moments.add(features, core(y, network.stride), core(x, network.stride));
  }
  const statistics = moments!.style(network.epsilon);
  return { picture, statistics, features: tiles.length === 1 ? features : undefined };
}

/** What a painting is made of, but for its content. */
export interface Paint {
  style: Style;
  /** 0 is the photograph, 1 the full style. */
  alpha: number;
  /** Whether the colors are the photograph's. */
  keepColors: boolean;
}

/** Paints a content; `put` gets the painting part by part, and where each belongs. */
export async function paint(
  network: Network,
  { picture, statistics, features }: Content,
  { style, alpha, keepColors }: Paint,
  put: (part: ImageData, left: number, top: number) => void,
  onStep: OnStep,
): Promise<void> {
  const tiles = grid(network, picture, network.encoderRadius + network.decoderRadius);
  for (const [i, [y, x]] of tiles.entries()) {
    await onStep(i, tiles.length);
    const seen = features ?? (await network.encode(read(picture, y, x)));
    const painted = await network.decode(seen, statistics, style, alpha);
    const part = picture.read(x.first, y.first, x.last - x.first, y.last - y.first);
    const skipped = (y.first - y.start) * seen.columns * network.stride + x.first - x.start;
    recolor(part, painted, skipped, seen.columns * network.stride, keepColors);
    put(part, x.first, y.first);
  }
}

/** Tiles, as spans of rows and of columns. */
function grid({ stride }: Network, { width, height }: Picture, radius: number): [Span, Span][] {
  const along = (length: number) => spans(length, TILE, roundUp(radius, stride), stride);
  return along(height).flatMap((y) => along(width).map((x): [Span, Span] => [y, x]));
}

function read(picture: Picture, y: Span, x: Span): ImageData {
  return picture.read(x.start, y.start, x.stop - x.start, y.stop - y.start);
}

/** The kept part of a span in features, from its start. */
function core({ start, first, last }: Span, stride: number): [number, number] {
  return [(first - start) / stride, Math.ceil((last - start) / stride)];
}

/**
 * Gives a part of the photograph the colors of its painting, or only the luminance.
 *
 * @param painted the painting of a tile, of `stride` pixels a row, of which the first are skipped.
 */
function recolor(
  { data, width, height }: ImageData,
  painted: Float32Array,
  skipped: number,
  stride: number,
  keepColors: boolean,
): void {
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const to = 4 * (row * width + column);
      const from = 3 * (skipped + row * stride + column);
      let change = 0;
      for (let c = 0; c < 3; c++) change += LUMINANCE[c] * (255 * painted[from + c] - data[to + c]);
      for (let c = 0; c < 3; c++) {
        data[to + c] = keepColors ? data[to + c] + change : 255 * painted[from + c];
      }
    }
  }
}

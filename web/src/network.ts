import type { InferenceSession } from 'onnxruntime-web';
import decoderUrl from '../models/fast-decoder.onnx?url';
import encoderUrl from '../models/fast-encoder.onnx?url';
import { readMetadata } from './onnx_metadata';
import { type Fetch, type Runtime, runtimes } from './runtime';
import type { Features, Style } from './styles';

/** How much of all that is to be loaded has come, in bytes. */
export type OnLoading = (loaded: number, total: number) => void;

/** The exported network: pictures to features, and features to paintings. */
export class Network {
  /** Pixels per feature along each side. */
  readonly stride: number;
  /** How many pixels away a feature can see. */
  readonly encoderRadius: number;
  /** How many pixels away a pixel of a painting can see features. */
  readonly decoderRadius: number;
  /** Within the roots of standard deviations. */
  readonly epsilon: number;

  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly runtime: Runtime,
    private readonly encoder: InferenceSession,
    private readonly decoder: InferenceSession,
    metadata: Map<string, string>,
  ) {
    const number = (key: string) => Number(metadata.get(key));
    this.stride = number('stride');
    this.encoderRadius = number('encoder_radius');
    this.decoderRadius = number('decoder_radius');
    this.epsilon = number('epsilon');
  }

  /** Loads a runtime and the two files, at once; where one runtime does not start, the next. */
  static async load(onLoading: OnLoading): Promise<Network> {
    const fetchFile = counted(onLoading);
    const loaders = await runtimes();
    const files = Promise.all([
      fetchFile(encoderUrl, __BYTES__.encoder),
      fetchFile(decoderUrl, __BYTES__.decoder),
    ]);
    for (;;) {
      try {
        const [runtime, [encoder, decoder]] = await Promise.all([loaders.shift()!(fetchFile), files]);
        const open = (file: Uint8Array) =>
          runtime.ort.InferenceSession.create(file, { executionProviders: runtime.providers });
        return new Network(runtime, await open(encoder), await open(decoder), readMetadata(encoder));
      } catch (error) {
        if (loaders.length === 0) throw error;
        console.warn('The next runtime is tried:', error);
      }
    }
  }

  /** What the network computes with, for people. */
  get device(): string {
    if (this.runtime.providers[0] === 'webgpu') return 'WebGPU';
    const threads = this.runtime.ort.env.wasm.numThreads;
    return threads === 1 ? '1 thread' : `${threads} threads`;
  }

  /** The features of a picture or of a tile of one. */
  async encode(pixels: ImageData): Promise<Features> {
    const { width, height, data } = pixels;
    const rgb = new Float32Array(width * height * 3);
    for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
      for (let c = 0; c < 3; c++) rgb[to + c] = data[from + c] / 255;
    }
    const picture = this.tensor(rgb, [1, height, width, 3]);
    const { features } = await this.run(this.encoder, { picture });
    const [, channels, rows, columns] = features.dims;
    return { data: features.data as Float32Array, channels, rows, columns };
  }

  /**
   * A painting in a style, in [0, 1], red, green and blue of each pixel together.
   *
   * @param features of a picture, or of a tile of one.
   * @param own the statistics of the whole picture.
   */
  async decode(features: Features, own: Style, style: Style, alpha: number): Promise<Float32Array> {
    const { data, channels, rows, columns } = features;
    const vector = (values: Float32Array) => this.tensor(values, [1, values.length]);
    const { result } = await this.run(this.decoder, {
      features: this.tensor(data, [1, channels, rows, columns]),
      content_mean: vector(own.mean),
      content_std: vector(own.std),
      mean: vector(style.mean),
      std: vector(style.std),
      alpha: this.tensor(Float32Array.of(alpha), []),
    });
    return result.data as Float32Array;
  }

  /** Runs one program at a time: a runtime on a GPU cannot do two. */
  private run(program: InferenceSession, inputs: InferenceSession.OnnxValueMapType) {
    const outputs = this.last.then(() => program.run(inputs));
    this.last = outputs.catch(() => {});
    return outputs;
  }

  private tensor(data: Float32Array, shape: number[]) {
    return new this.runtime.ort.Tensor('float32', data, shape);
  }
}

/** Reads files, and tells how much of all of them has come. */
function counted(onLoading: OnLoading): Fetch {
  let [loaded, total] = [0, 0];
  return async (url, size) => {
    total += size;
    const response = await fetch(url);
    if (!response.ok || !response.body) throw new Error(`${url}: ${response.statusText}`);
    const file = new Uint8Array(size);
    let at = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      file.set(value, at);
      at += value.length;
      onLoading((loaded += value.length), total);
    }
    return file;
  };
}

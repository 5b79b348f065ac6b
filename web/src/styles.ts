/** What the network knows of a style: mean and standard deviation of each feature channel. */
export interface Style {
  mean: Float32Array;
  std: Float32Array;
}

/** Features of a picture or of a tile: `rows` x `columns` positions, the channels of each together. */
export interface Features {
  data: Float32Array;
  rows: number;
  columns: number;
}

/** Gathers the statistics of a picture's features from its parts. */
export class Moments {
  private count = 0;
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;

  constructor(private readonly channels: number) {
    this.sums = new Float64Array(channels);
    this.squares = new Float64Array(channels);
  }

  /** Adds the features from a first row and column to before a last one. */
  add({ data, columns }: Features, [top, bottom]: Range, [left, right]: Range): void {
    const { channels, sums, squares } = this;
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const at = (row * columns + column) * channels;
        for (let c = 0; c < channels; c++) {
          const x = data[at + c];
          sums[c] += x;
          squares[c] += x * x;
        }
      }
    }
    this.count += (bottom - top) * (right - left);
  }

  /** The statistics, as `adain_jax.style.statistics` has them. */
  style(epsilon: number): Style {
    const mean = Float32Array.from(this.sums, (sum) => sum / this.count);
    const std = Float32Array.from(this.squares, (square, c) => {
      const average = this.sums[c] / this.count;
      return Math.sqrt(Math.max(square / this.count - average * average, 0) + epsilon);
    });
    return { mean, std };
  }
}

type Range = [number, number];

/** The mixture of styles in these proportions (equation 15 of the paper); equal ones where all are 0. */
export function mix(styles: Style[], weights: number[]): Style {
  const sum = weights.reduce((a, b) => a + b, 0);
  const shares = weights.map((weight) => (sum ? weight / sum : 1 / weights.length));
  const combine = (key: keyof Style) =>
    styles[0][key].map((_, c) => styles.reduce((total, style, i) => total + shares[i] * style[key][c], 0));
  return { mean: combine('mean'), std: combine('std') };
}

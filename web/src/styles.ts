/** What the network knows of a style: mean and standard deviation of each feature channel. */
export interface Style {
  mean: Float32Array;
  std: Float32Array;
}

/** Features of a picture or of a tile: for each channel `rows` x `columns` positions. */
export interface Features {
  data: Float32Array;
  channels: number;
  rows: number;
  columns: number;
}

/** Gathers the statistics of a picture's features from its parts. */
export class Moments {
  private count = 0;
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;

  constructor(channels: number) {
    this.sums = new Float64Array(channels);
    this.squares = new Float64Array(channels);
  }

  /** Adds the features from a first row and column to before a last one. */
  add({ data, channels, rows, columns }: Features, [top, bottom]: Range, [left, right]: Range): void {
    for (let c = 0; c < channels; c++) {
      let [sum, squares] = [0, 0];
      for (let row = top; row < bottom; row++) {
        const start = (c * rows + row) * columns;
        for (let at = start + left; at < start + right; at++) {
          sum += data[at];
          squares += data[at] * data[at];
        }
      }
      this.sums[c] += sum;
      this.squares[c] += squares;
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

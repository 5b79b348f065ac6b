/** A range of rows or columns: `start` to `stop` are computed, and `first` to `last` are kept. */
export interface Span {
  start: number;
  stop: number;
  first: number;
  last: number;
}

/**
 * Divides a length into spans whose kept parts cover it without overlap.
 *
 * @param most the length of the kept parts, at most.
 * @param halo how far spans reach beyond their kept part, where there is anything.
 * @param multiple spans begin at multiples of this; `most` and `halo` are multiples of it.
 */
export function spans(length: number, most: number, halo: number, multiple: number): Span[] {
  const each = roundUp(length / Math.ceil(length / most), multiple);
  return Array.from({ length: Math.ceil(length / each) }, (_, i) => {
    const first = i * each;
    const last = Math.min(first + each, length);
    return { start: Math.max(first - halo, 0), stop: Math.min(last + halo, length), first, last };
  });
}

/** The smallest multiple that is at least `length`. */
export function roundUp(length: number, multiple: number): number {
  return Math.ceil(length / multiple) * multiple;
}

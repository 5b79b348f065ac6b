import { make } from './dom';
import type { Photo } from './pictures';
import { slider } from './slider';

/** Sliders for how much of each style there is in the mixture. */
export class Mixer {
  private readonly shares = new WeakMap<Photo, number>();

  constructor(
    private readonly place: HTMLElement,
    private readonly onChange: () => void,
  ) {}

  /** How much of each style, from 0 to 100. */
  weights(styles: Photo[]): number[] {
    return styles.map((style) => this.shares.get(style) ?? 50);
  }

  /** Shows sliders for these styles, if there are several; asks for more if there could be. */
  show(styles: Photo[], most: number): void {
    if (most === 1) return this.place.replaceChildren();
    if (styles.length === 1) {
      return this.place.replaceChildren(make('p', { textContent: `Pick two to ${most} styles.` }));
    }
    const weights = this.weights(styles);
    this.place.replaceChildren(...styles.map((style, i) => this.slider(style, weights[i], `share-${i}`)));
  }

  private slider(style: Photo, share: number, id: string): HTMLElement {
    const input = make('input', { type: 'range', id, value: String(share) });
    const label = make('label', { htmlFor: id, textContent: `How much of ${style.name}` });
    const all = make('div', { className: 'slider' });
    all.append(label, make('span', { ariaHidden: 'true' }), input);
    slider(input, (value) => {
      this.shares.set(style, value);
      this.onChange();
    });
    return all;
  }
}

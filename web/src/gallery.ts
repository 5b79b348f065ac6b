import { make } from './dom';
import type { Photo } from './pictures';

const MAX_OWN = 8; // pictures of the user's that are kept

/** Pictures to choose one or several of. */
export class Gallery {
  picked: Photo[];
  /** How many may be chosen. */
  most = 1;
  private own: Photo[] = [];

  /**
   * @param list what the pictures are shown in.
   * @param examples pictures that are always there.
   * @param onPick is called when others are chosen.
   */
  constructor(
    private readonly list: HTMLElement,
    private readonly examples: Photo[],
    first: string,
    private readonly onPick: () => void,
  ) {
    this.picked = examples.filter(({ name }) => name === first);
    this.show();
  }

  /** Lets so many be chosen. */
  limit(most: number): void {
    this.most = most;
    this.choose(this.picked);
  }

  /** Adds a picture of the user's, and chooses it. */
  add(photo: Photo): void {
    this.own = [photo, ...this.own];
    for (const { thumbnail } of this.own.splice(MAX_OWN)) URL.revokeObjectURL(thumbnail);
    this.choose([...this.picked, photo]);
  }

  /** Chooses a picture; one of several chosen ones is no longer chosen. */
  private pick(photo: Photo): void {
    const others = this.picked.filter((one) => one !== photo);
    const isOff = this.most > 1 && others.length > 0 && others.length < this.picked.length;
    this.choose(isOff ? others : [...others, photo]);
  }

  private choose(photos: Photo[]): void {
    const kept = photos.filter((one) => this.own.includes(one) || this.examples.includes(one));
    this.picked = kept.slice(-this.most);
    this.show();
    this.onPick();
  }

  private show(): void {
    const photos = [...this.own, ...this.examples];
    const focused = [...this.list.children].indexOf(document.activeElement!);
    this.list.replaceChildren(...photos.map((photo) => this.button(photo)));
    (this.list.children[focused] as HTMLElement | undefined)?.focus();
  }

  private button(photo: Photo): HTMLButtonElement {
    const button = make('button', { type: 'button', title: photo.name });
    const place = this.picked.indexOf(photo) + 1;
    button.ariaLabel = photo.name;
    button.ariaPressed = String(place > 0);
    if (place && this.picked.length > 1) button.dataset.place = String(place);
    button.append(make('img', { src: photo.thumbnail, alt: '' }));
    button.onclick = () => this.pick(photo);
    return button;
  }
}

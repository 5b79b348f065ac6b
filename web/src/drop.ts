import { complain } from './status';

/**
 * Takes the user's files, chosen or dropped, one after another, and says which were refused.
 *
 * @param input where they are chosen.
 * @param zone where they are dropped; what is dropped into a zone within another is not for that.
 */
export function acceptFiles(
  input: HTMLInputElement,
  zone: HTMLElement,
  accept: (file: File) => Promise<void>,
): void {
  const acceptAll = async (files: File[]) => {
    const problems: string[] = [];
    for (const file of files) {
      await accept(file).catch((error: Error) => problems.push(error.message));
    }
    complain(problems);
  };
  input.onchange = async () => {
    await acceptAll([...(input.files ?? [])]);
    input.value = ''; // so that the same file can be chosen again
  };
  zone.ondragover = (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.dataset.over = '';
  };
  zone.ondragleave = () => delete zone.dataset.over;
  zone.ondrop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    delete zone.dataset.over;
    acceptAll([...(event.dataTransfer?.files ?? [])]);
  };
}

/** Has a slider show its value in the span beside it, and tell when it is moved. */
export function slider(input: HTMLInputElement, onMove: (value: number) => void): void {
  const shown = input.parentElement!.querySelector('span')!;
  const show = () => {
    shown.textContent = `${input.value} %`;
  };
  input.addEventListener('input', () => {
    show();
    onMove(input.valueAsNumber);
  });
  show();
}

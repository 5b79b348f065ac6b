/** Has a slider show its value in its label, and tell when it is moved. */
export function slider(input: HTMLInputElement, onMove: (value: number) => void): void {
  const output = input.closest('label')?.querySelector('output');
  const show = () => {
    if (output) output.value = `${input.value} %`;
  };
  input.addEventListener('input', () => {
    show();
    onMove(input.valueAsNumber);
  });
  show();
}

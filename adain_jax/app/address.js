// Writes the choices into the page's address. They replace what is there, so that "back" leaves the page,
// and what is not the page's own stays.
export default function ({ data }) {
  const address = new URL(location.href);
  for (const key of data.keys) address.searchParams.delete(key);
  for (const [key, value] of data.pairs) address.searchParams.append(key, value);
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

"""What tyro says of bad usage in a box of many lines, in one."""

import re

_COLOR = re.compile(r"\x1b\[[\d;]*m")


def in_one_line(box: str) -> str:
    """The message of tyro's box, without its title and hints.

    The box has lines on all sides, with the title in the upper one, or, in ASCII, a rule below the
    title; rules stand between its parts. Of a list of options with their help, only the options are
    told, and of those that resemble an unknown one only the first.
    """
    text = _COLOR.sub("", box)
    drawn = "╭" in text
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        inner = line[1:-1] if drawn else line
        if not line.startswith(("╭", "╰")) and inner.strip():
            if inner.strip(" ─-"):
                parts[-1].append(inner.rstrip())
            else:
                parts.append([])
    said = [part for part in (parts if drawn else parts[1:]) if part]
    message, *hints = map(_text, said) if said else [" ".join(text.split())]
    for hint in hints:
        if hint.startswith("Perhaps you meant: "):
            message += (
                f"; perhaps you meant {hint.removeprefix('Perhaps you meant: ').split(',')[0]}"
            )
        elif hint.startswith("Available subcommands: "):
            message = message.replace("Unrecognized options:", "there is no command")
            message += f"; there are {hint.removeprefix('Available subcommands: ')}"
    message = message.replace("'None', ", "").replace(", 'None'", "").removeprefix("Error parsing ")
    return message[:1].lower() + message[1:].rstrip(".")


def _text(part: list[str]) -> str:
    """A part as running text; of a list, the names of its items."""
    first, *rest = part
    indents = [len(line) - len(line.lstrip()) for line in part]
    if first.endswith(":") and rest and min(indents[1:]) > indents[0]:
        items = [line for line, indent in zip(part, indents, strict=True) if indent == indents[1]]
        flags = [re.findall(r"--[\w-]+", item) or item.split() for item in items]
        return f"{first.strip()} {', '.join(one[0] for one in flags)}"
    return " ".join(line.strip() for line in part)

"""Tables that sort, as HTML."""

from collections.abc import Sequence
from html import escape

from msgspec import Struct


class Cell(Struct, frozen=True):
    """``value`` is what sorting goes by; without one, the text. ``kind``: bad, text or nothing."""

    text: str
    value: float | None = None
    kind: str = ""


def table(header: Sequence[tuple[str, str]], rows: Sequence[Sequence[Cell]], best: Sequence[bool] = ()) -> str:
    """``header`` holds names and what they mean. ``best`` marks rows."""
    texts = [any(row[column].kind == "text" for row in rows) for column in range(len(header))]
    head = "".join(
        f'<th scope="col"{" class=text" if is_text else ""} title="{escape(meaning)}">'
        f'<button type="button">{escape(name)}</button></th>'
        for (name, meaning), is_text in zip(header, texts, strict=True)
    )
    body = "\n".join(
        f"<tr{' class=best' if number < len(best) and best[number] else ''}>{''.join(map(_cell, row))}</tr>"
        for number, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def number(value: float | int | None, *, scale: float = 1, digits: int = 2, kind: str = "") -> Cell:
    """A number, or an empty cell."""
    if value is None:
        return Cell("")
    shown = f"{value:,}" if isinstance(value, int) and scale == 1 else f"{value * scale:,.{digits}f}"
    return Cell(shown, float(value), kind)


def _cell(cell: Cell) -> str:
    kind = f' class="{cell.kind}"' if cell.kind else ""
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f"<td{kind}{value}>{escape(cell.text)}</td>"

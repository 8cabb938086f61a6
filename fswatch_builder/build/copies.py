"""What a COPY or ADD asks for: words expanded, addresses told from paths, the destination made absolute."""

from collections.abc import Mapping
from posixpath import join, normpath

from msgspec.structs import replace

from fswatch_builder.dockerfile.expansion import expand, expand_body
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import Copy, Heredoc, Word
from fswatch_builder.model.plan import CopySource
from fswatch_builder.model.remote import GitTree, HttpFile, Remote
from fswatch_builder.model.step import CopyAction
from fswatch_builder.remote.address import remote_source, shown, with_checksum


def copy_action(
    instruction: Copy, source: CopySource, variables: Mapping[str, str], working_dir: str, escape: str
) -> tuple[CopyAction, str]:
    """The action, and its line in the history. Raises DockerfileError."""

    def expanded(word: Word) -> str:
        return expand(word.text, variables, escape)

    keyword = "ADD" if instruction.add else "COPY"
    dest = expanded(instruction.dest)
    chown = expanded(instruction.chown) if instruction.chown else None
    chmod = expanded(instruction.chmod) if instruction.chmod else None
    checksum = expanded(instruction.checksum) if instruction.checksum else ""
    texts = [expanded(item) for item in instruction.sources if isinstance(item, Word)]
    documents = tuple(
        (item.name, expand_body(item.body, variables) if item.expand else item.body)
        for item in instruction.sources
        if isinstance(item, Heredoc)
    )
    words = [_word(text, keyword, instruction) for text in texts]
    if checksum:
        words = [_verified(words, checksum, instruction)]
    history = [keyword]
    if instruction.parents:
        history.append("--parents")
    if chown is not None:
        history.append(f"--chown={chown}")
    if chmod is not None:
        history.append(f"--chmod={chmod}")
    history += [*map(shown, texts), *(f"<<{name}" for name, _ in documents), dest]
    action = CopyAction(
        add=instruction.add,
        source=source,
        words=tuple(words),
        dest=_destination(working_dir, dest),
        documents=documents,
        chown=chown or None,
        chmod=chmod or None,
        exclude=instruction.exclude,
        parents=bool(instruction.parents),
        link=bool(instruction.link) and not chmod,  # as BuildKit has it: a mode makes it an ordinary copy
        unpack=instruction.unpack,
    )
    return action, " ".join(history) + " # buildkit"


def clean(path: str) -> str:
    """Absolute, without ``.``, ``..`` and doubled slashes (normpath keeps two leading ones)."""
    return normpath("/" + path.lstrip("/"))


def _word(text: str, keyword: str, instruction: Copy) -> str | Remote:
    try:
        remote = remote_source(text)
    except ValueError as error:
        raise DockerfileError(str(error), where=instruction.where) from error
    if remote is None:
        return text
    if not instruction.add:
        what = "a git ref" if isinstance(remote, GitTree) else "a URL"
        raise DockerfileError(
            f"source can't be {what} for {keyword}: {shown(text)}", where=instruction.where, hint="use ADD"
        )
    if isinstance(remote, GitTree) and instruction.keep_git_dir is not None:
        return replace(remote, keep_git_dir=instruction.keep_git_dir)
    return remote


def _verified(words: list[str | Remote], checksum: str, instruction: Copy) -> Remote:
    if len(words) != 1 or len(instruction.sources) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources", where=instruction.where)
    word = words[0]
    if not isinstance(word, HttpFile | GitTree):
        raise DockerfileError("checksum requires HTTP(S) or Git sources", where=instruction.where)
    try:
        return with_checksum(word, checksum)
    except ValueError as error:
        raise DockerfileError(str(error), where=instruction.where) from error


def _destination(working_dir: str, dest: str) -> str:
    if dest in ("", "."):
        dest = "./"
    path = clean(join(working_dir, dest))
    is_directory = dest.endswith(("/", "/.")) or dest == ".."
    return path + "/" if is_directory and path != "/" else path

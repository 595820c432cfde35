"""What became of large objects, and how they compare."""

import hashlib
from dataclasses import dataclass, field

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.figures import counted, size
from pg_migration.postgres.large_objects.copying import BatchCompared, Different
from pg_migration.postgres.large_objects.state import State

MAX_TOLD = 20


@dataclass
class LargeObjectsFound:
    """What became of large objects, or how they compare: as many and as much as the source has.

    ``there`` are those of them that the target has. ``copied`` were not the same before, and ``dropped`` are those of
    the target that the source has no more; ``gone`` are such that are still there. ``hashed`` tells whether contents
    were compared, ``by_ledger`` that it was with what was copied instead of what the source has.
    """

    objects: int = 0
    bytes: int = 0
    there: int = 0
    there_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    dropped: int = 0
    seconds: float = 0.0
    hashed: bool = False
    by_ledger: bool = False
    different: list[Different] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _digests: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))

    def add(self, compared: BatchCompared) -> None:
        """Count a batch."""
        self.objects += len(compared.source)
        self.bytes += sum(state.size for state in compared.source)
        self.there += len(compared.target)
        self.there_bytes += sum(state.size for state in compared.target)
        self.copied += compared.copied
        self.copied_bytes += compared.copied_bytes
        self.different += compared.different
        for side, states in ((Side.SOURCE, compared.source), (Side.TARGET, compared.target)):
            self._digests[side] = (self._digests[side] + sum(map(_mixed, states))) % 2**64

    def digest(self, side: Side) -> str:
        """A hash over all objects of one side, whatever their order."""
        return f"{self._digests[side]:016x}"

    @property
    def problems(self) -> list[str]:
        """What is not as in the source, a line each; nothing where all is the same."""
        found = [*self.different, *(Different(oid, "the source does not have it any more") for oid in self.gone)]
        told = [f"large object {one.oid}: {one.what}" for one in found[:MAX_TOLD]]
        if len(found) > MAX_TOLD:
            told.append(f"and {len(found) - MAX_TOLD:,} more large objects that are not the same")
        return [*dict.fromkeys(self.failures), *told]

    def __str__(self) -> str:
        told = f"{counted(self.objects, 'large object')}, {size(self.bytes)}"
        copied = f"{self.copied:,} copied, {self.objects - self.copied:,} were the same"
        return f"{told}: {copied}{f', {self.dropped:,} dropped' if self.dropped else ''}"


def _mixed(state: State) -> int:
    text = f"{state.oid} {state.size} {state.digest}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")

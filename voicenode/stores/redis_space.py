"""The keys of one collection in Redis, and the scripts that write them.

    voicenode:voices:doc:anna             the document
    voicenode:voices:file:<token>:0       the first chunk of a file that it names
    voicenode:voices:keys                 the keys of all documents, those included that have expired since
    voicenode:voices:log                  a stream of the keys that changed, the newest thousands
    voicenode:collections                 the names of all collections

A script is the one moment in which a put happens. The chunks of its files were laid out before, each with a
time after which it is gone; the script takes that from them, or gives them the document's. So what a crash
leaves behind goes by itself, and a document's files expire with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voicenode.stores.redis_record import StoredFile

# What may be refused for want of memory comes first: nothing is refused in a script that has written.
WRITE = """
local record = redis.call('GET', KEYS[1])
if (record and record:sub(1, 16) or '') ~= ARGV[1] then return {'changed', record or ''} end
local fresh, kept, ttl = 4 + ARGV[5], 4 + ARGV[6], tonumber(ARGV[4])
for i = 5, fresh do
  if redis.call('EXISTS', KEYS[i]) == 0 then return {'lost', KEYS[i]} end
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('SADD', KEYS[4], ARGV[7])
if ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
for i = 5, kept do
  if ttl then redis.call('PEXPIRE', KEYS[i], ttl) else redis.call('PERSIST', KEYS[i]) end
end
for i = kept + 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'key', ARGV[2])
return {'done', ARGV[3]}
"""
"""KEYS: document, keys, log, collections, then chunks: fresh, kept, dropped.
ARGV: stamp that must be there, key, document, milliseconds until it expires or '', number of chunks that are
fresh, number that are fresh or kept, collection."""

DELETE = """
local record = redis.call('GET', KEYS[1])
if (record and record:sub(1, 16) or '') ~= ARGV[1] then return {'changed', record or ''} end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[2])
for i = 4, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'key', ARGV[2])
return {'done', ''}
"""
"""KEYS: document, keys, log, then its chunks. ARGV: stamp that must be there, key."""

SWEEP = """
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('SREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'key', ARGV[1])
return 1
"""
"""KEYS: document, keys, log. ARGV: key. Whether the document has expired and nobody swept it before."""


@dataclass(frozen=True, slots=True)
class Space:
    """The names of the keys of one collection."""

    prefix: str
    collection: str

    @property
    def keys(self) -> bytes:
        return self._name("keys")

    @property
    def log(self) -> bytes:
        return self._name("log")

    @property
    def collections(self) -> bytes:
        return collections(self.prefix)

    def document(self, key: str) -> bytes:
        return self._name("doc:") + encoded(key)

    def chunk(self, token: str, number: int) -> bytes:
        return self._name(f"file:{token}:{number}")

    def chunks(self, files: Iterable[StoredFile]) -> list[bytes]:
        return [self.chunk(file.token, number) for file in files for number in range(file.chunks)]

    def _name(self, end: str) -> bytes:
        return f"{self.prefix}:{self.collection}:{end}".encode()


def collections(prefix: str) -> bytes:
    """The key that holds the names of all collections."""
    return f"{prefix}:collections".encode()


def encoded(key: str) -> bytes:
    """The bytes of any text, half of a surrogate pair included, which JSON may carry."""
    return key.encode(errors="surrogatepass")


def decoded(key: bytes) -> str:
    """The text that `encoded` was given."""
    return key.decode(errors="surrogatepass")

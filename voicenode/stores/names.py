"""Names of files for any text, so that no text can reach outside its directory or meet another's file."""

import hashlib
import string

_PLAIN = string.ascii_lowercase + string.digits + "_-"


def file_name(text: str, limit: int, plain: str = "") -> str:
    """A name of at most `limit` characters that only this text has, also where case does not count.

    Lower-case letters, digits, `_`, `-` and the characters in `plain` stand for themselves, every other byte
    is percent-encoded; where that is too long, its end is replaced by a hash. Empty text is `%`.
    """
    if text and len(text) <= limit and not text.strip(_PLAIN):  # most are, and this takes a tenth of the time
        return text
    allowed = frozenset((_PLAIN + plain).encode())
    # surrogatepass: JSON may carry half of a surrogate pair, and a key may come from there
    encoded = "".join(
        chr(byte) if byte in allowed else f"%{byte:02x}" for byte in text.encode(errors="surrogatepass")
    )
    if len(encoded) <= limit:
        return encoded or "%"
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{encoded[: limit - len(digest) - 2]}%%{digest}"  # %% appears in no encoded text

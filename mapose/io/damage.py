"""Damage in keyframes of which decoders say nothing, and which shows in what comes after."""

from __future__ import annotations

import zlib
from typing import Any

import av
import numpy as np


def hides_damage(stream: Any, packet: Any) -> bool:
    """Tell whether the picture of a keyframe may hang on those before it, by its bytes alone.

    Parameters
    ----------
    stream : av.VideoStream
        The stream.
    packet : av.Packet
        The keyframe, before it is decoded.

    Notes
    -----
    FFmpeg counts restart intervals of JPEG (DRI, 0xFFDD) on from a damaged picture to all after
    it. Of a damaged slice of FFV1 it shows the picture before.
    """
    codec = stream.codec.canonical_name
    if codec == "mjpeg":
        return b"\xff\xdd" in bytes(packet)[:1024]
    # Versions before 2 have neither slices nor a header out of the packets.
    return codec == "ffv1" and bool(stream.codec_context.extradata) and not _is_sound(bytes(packet))


def shows_other(stream: Any, packet: Any, frame: Any) -> bool:
    """Tell whether a keyframe becomes another picture if it is decoded in another way.

    Of damage in VP8, which leaves something out so that older pictures shine through, and of most
    in HEVC no decoder tells. But decoded again the one is another picture, and the other is where
    several threads decode it instead of one.

    Parameters
    ----------
    stream : av.VideoStream
        The stream, of VP8 decoded up to this packet.
    packet : av.Packet
        The keyframe.
    frame : av.VideoFrame
        What was decoded from it.
    """
    again: list[Any] = []
    if stream.codec.canonical_name == "vp8":
        again = packet.decode()
    elif stream.codec.canonical_name == "hevc":
        other = av.CodecContext.create("hevc", "r")
        other.thread_type, other.thread_count = "SLICE", 4
        other.extradata = stream.codec_context.extradata
        again = [*other.decode(packet), *other.decode(None)]
    return not all(np.array_equal(frame.to_ndarray(), one.to_ndarray()) for one in again)


#: Bytes with their bits from last to first: sums of FFV1 take the first bit first, zlib's the last.
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ONES = 0xFFFFFFFF


def _is_sound(data: bytes) -> bool:
    """Tell whether all slices of an FFV1 picture agree with their sums; without sums, they do."""
    if _split(data, 3) is not None:
        return True
    slices = _split(data, 8)
    return slices is not None and not any(
        zlib.crc32(part.translate(_TURNED), _ONES) ^ _ONES for part in slices
    )


def _split(data: bytes, footer: int) -> list[bytes] | None:
    """Cut an FFV1 picture into its slices, from the last on; None where it does not come out even.

    A slice ends on its size (3 bytes) and, where it has a sum, a status (1) and the sum (4):
    RFC 9043, section 4.9.
    """
    slices, end = [], len(data)
    while end >= footer:
        size = int.from_bytes(data[end - footer : end - footer + 3], "big") + footer
        if size > end:
            return None
        slices.append(data[end - size : end])
        end -= size
    return slices if end == 0 else None

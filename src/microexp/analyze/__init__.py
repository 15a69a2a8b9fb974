"""One unlabelled video to an answer: where a face moves, which emotion it looks like, how sure, and why.

In: a video file, a folder of frames or a `Clip`. Out: an `Analysis`; JSON, CSV and an HTML page of it. It
says where a face moved, not what a person felt (docs/responsible_use.md).
"""

from microexp.analyze.analysis import Analysis, Answer, Finding, Video, analyze
from microexp.analyze.tables import to_csv, to_json

__all__ = ["Analysis", "Answer", "Finding", "Video", "analyze", "to_csv", "to_json"]

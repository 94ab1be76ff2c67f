"""What goes to an OpenAI-compatible server, and what comes back: bodies of requests, and replies read with suspicion.

Chat completions and image generations as OpenAI's API reference describes them (November 2026); vLLM, SGLang, Gemini's
compatible endpoint and others answer in the same form, with less in it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from janus_eval.endpoints import PassingError, RefusedError
from janus_eval.models.adapters.openai_family import OpenAISettings
from janus_eval.pictures import Picture, PictureError
from janus_eval.plain import one_line, visible
from janus_eval.types import JSON, Drawing, Failure, Question, Response
from janus_eval.usage import Usage

CHAT, IMAGES = "/chat/completions", "/images/generations"
KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}
"""Formats that are sent as they are; any other goes as PNG."""
POLICIES = frozenset(
    {"content_policy_violation", "content_filter", "moderation_blocked", "responsibleaipolicyviolation"}
)
"""Codes of refusals for what a prompt says."""
POLICY_WORDS = ("content policy", "safety system", "content management policy", "usage policies", "usage policy")
"""Where a server gives no code: what OpenAI's and Azure's messages say."""

NO_COUNT = 10**12
"""So many tokens no reply has; and a number without end would be no price either."""


def question_body(model: str, question: Question, settings: OpenAISettings) -> dict[str, JSON]:
    """Pictures first, then the text. Raises PictureError for a picture that can't be sent."""
    content: list[JSON] = [_shown(image, settings) for image in question.images]
    content.append({"type": "text", "text": question.text})
    messages: list[JSON] = (
        [{"role": "system", "content": settings.system_prompt}] if settings.system_prompt is not None else []
    )
    messages.append({"role": "user", "content": content if question.images else question.text})
    return {
        "model": model,
        "messages": messages,
        settings.tokens_field: settings.answer_tokens or question.max_new_tokens,
        **({} if settings.answer_temperature is None else {"temperature": settings.answer_temperature}),
        **({} if settings.seed == "omit" else {"seed": question.seed}),
        **settings.extra,
    }


def _shown(image: Picture, settings: OpenAISettings) -> JSON:
    kind = next((kind for magic, kind in KINDS.items() if image.data.startswith(magic)), "")
    if settings.image_format == "jpeg":
        data, kind = _jpeg(image), "jpeg"
    elif kind == "png" or (kind and settings.image_format == "as-is"):
        data = image.data
    else:
        data, kind = Picture.from_pil(image.load()).data, "png"
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return {
        "type": "image_url",
        "image_url": {"url": url, **({"detail": settings.image_detail} if settings.image_detail else {})},
    }


def _jpeg(image: Picture) -> bytes:
    """A JPEG as it is; anything else at quality 95 without subsampling, which small letters would not survive."""
    if image.data.startswith(b"\xff\xd8\xff"):
        return image.data
    buffer = io.BytesIO()
    image.load().save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def drawing_body(model: str, drawing: Drawing, settings: OpenAISettings) -> dict[str, JSON]:
    """One picture. DALL-E gives an address unless base64 is asked for; OpenAI's later models refuse to be asked."""
    size = asked_size(drawing, settings)
    asks_base64 = settings.response_format == "b64_json" or (
        settings.response_format == "auto" and model.lower().startswith("dall-e")
    )
    optional = {"quality": settings.quality, "style": settings.style}
    return {
        "model": model,
        "prompt": drawing.prompt,
        "n": 1,
        **({"size": f"{size[1]}x{size[0]}"} if size else {"size": settings.size} if settings.size else {}),
        **{name: value for name, value in optional.items() if value is not None},
        **({"response_format": "b64_json"} if asks_base64 else {}),
        **({"seed": drawing.seed} if settings.seed == "send" else {}),
        **settings.extra,
    }


def asked_size(drawing: Drawing, settings: OpenAISettings) -> tuple[int, int] | None:
    """(height, width) that must come, the request's before the setting's; None where the server is free."""
    if drawing.size is not None:
        return drawing.size
    if settings.size in {None, "auto"}:
        return None
    width, height = str(settings.size).split("x")
    return int(height), int(width)


def read_answer(answer: Any) -> Response | Failure:
    """The first choice. Raises PassingError for JSON that is no reply, as an error under status 200."""
    choice = _first(answer, "choices", "chat completion")
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise PassingError(f"answers with no chat completion: {one_line(answer, 300)}")
    usage, details = counted(answer), _told(answer)
    finish, text = str(choice.get("finish_reason") or ""), _text(message.get("content"))
    refusal = message.get("refusal")
    if finish.startswith("content_filter") or (isinstance(refusal, str) and refusal):
        code = "content_filter" if finish.startswith("content_filter") else "by the model"
        return refused(code, refusal if isinstance(refusal, str) else text or "", details)
    if finish == "length" and not (text or "").strip():
        reached = f"after {usage.output_tokens:,} tokens of output" if usage.output_tokens else "within its tokens"
        return Failure(f"no text {reached}: it takes a larger answer_tokens", details=details)
    if text is None:
        raise PassingError(f"gives no text (finish_reason {one_line(finish or 'missing', 80)})")
    return Response(
        text=text,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        finish="length" if finish == "length" else "stop",
        details=details,
    )


def read_served(answer: Any) -> str:
    """The name under which the server answers; empty where it says none."""
    _first(answer, "choices", "chat completion")
    return str(_told(answer).get("served", ""))


def read_drawing(answer: Any, size: tuple[int, int] | None) -> Response | Failure:
    """The first picture, of ``size`` (height, width) where one is given. Raises PassingError for JSON that is no reply.

    An address is not followed: whoever answers could make this machine ask any other that it can reach. What is no
    picture is a failure at once: it is paid for each time.
    """
    first = _first(answer, "data", "picture")
    usage, details = counted(answer), _told(answer)
    rewritten = first.get("revised_prompt")
    if isinstance(rewritten, str) and rewritten:
        details["revised_prompt"] = visible(rewritten, keep="\n")
    coded, url = first.get("b64_json"), first.get("url")
    if not coded and isinstance(url, str) and url.startswith("data:"):
        coded = url.partition(",")[2]
    if not coded and url:
        reason = "the server gives a picture's address, which is not followed: set response_format=b64_json"
        return Failure(reason, details=details)
    try:
        picture = Picture(base64.b64decode(str(coded), validate=True))
        width, height = picture.load().size
    except PictureError as error:
        return Failure(f"the server gives no picture: {one_line(error, 200)}", details=details)
    except ValueError as error:
        return Failure(f"the server gives no base64: {one_line(error, 200)}", details=details)
    if size is not None and (height, width) != size:
        reason = f"the server drew {width} x {height} pixels where {size[1]} x {size[0]} were asked for"
        return Failure(reason, details=details)
    given, taken = usage.input_tokens, usage.output_tokens
    return Response(image=picture, input_tokens=given, output_tokens=taken, details=details)


def refusal_of(error: RefusedError) -> Failure | None:
    """The refusal of a prompt for what it says; None for any other."""
    said = error.said.lower()
    if error.label.lower() in POLICIES or any(words in said for words in POLICY_WORDS):
        code = error.label if error.label.lower() in POLICIES else "content policy"
        return refused(code, error.said, {})
    return None


def refused(code: str, said: str, details: Mapping[str, JSON]) -> Failure:
    """The reason is the same for all that are refused alike, so that they are counted together; what was said with this
    one stands beside it. Final: asking again is no way to get past a refusal."""
    return Failure(f"refused ({code})", final=True, details={**details, "refusal": one_line(said, 600)})


def _first(answer: Any, key: str, what: str) -> Mapping[str, Any]:
    if isinstance(answer, Mapping) and answer.get("error"):
        raise PassingError(f"says {one_line(answer['error'], 300)} under status 200")
    try:
        first = answer[key][0]
    except (IndexError, KeyError, TypeError):
        first = None
    if not isinstance(first, Mapping):
        raise PassingError(f"answers with no {what}: {one_line(answer, 300)}")
    return first


def _text(content: object) -> str | None:
    """A message's text; some servers give it in parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str)) if texts else None
    return content if isinstance(content, str) else None


def counted(answer: Any) -> Usage:
    """What the server says that a reply cost, whatever else is in it."""
    table = answer.get("usage") if isinstance(answer, Mapping) else None
    counts = table if isinstance(table, Mapping) else {}
    drawn = answer.get("data") if isinstance(answer, Mapping) else None
    tokens = [
        _count(counts, names) for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    ]
    return Usage(1, tokens[0], tokens[1], len(drawn) if isinstance(drawn, list) else 0)


def _count(counts: Mapping[str, Any], names: Sequence[str]) -> int:
    found = [counts[name] for name in names if isinstance(counts.get(name), int) and 0 < counts[name] < NO_COUNT]
    return int(found[0]) if found else 0


def _told(answer: Mapping[str, Any]) -> dict[str, JSON]:
    """Which model answered, in the server's own words."""
    names = {"model": "served", "system_fingerprint": "system_fingerprint"}
    return {ours: one_line(answer[name], 200) for name, ours in names.items() if isinstance(answer.get(name), str)}

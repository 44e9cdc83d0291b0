"""The picture scenarios on FastAPI: apps chained over HTTP, with tensors in the bodies or in files of /dev/shm.

`pipeline` preprocesses, asks `model` at $MODEL_URL and then `post` at $POST_URL; `relay` asks `model` only. SHM names
the folder for files; "" is for bodies.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import aiohttp
import numpy as np
import picture_files
from fastapi import FastAPI, HTTPException, Request, Response
from picture_model import infer, postprocess, preprocess, tensor_from
from pydantic import BaseModel

BINARY = "application/octet-stream"
SHARED = bool(os.environ["SHM"])
pack = picture_files.put if SHARED else bytes
unpack = picture_files.take if SHARED else tensor_from


class Answer(BaseModel):
    band: int


@asynccontextmanager
async def front(app: FastAPI) -> AsyncIterator[None]:
    """What an app needs that asks others."""
    with ExitStack() as stack:
        if SHARED:
            stack.enter_context(picture_files.folder())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            app.state.session = session
            yield


async def ask(app: FastAPI, url: str, body: bytes) -> bytes:
    async with app.state.session.post(url, data=body, headers={"content-type": BINARY}) as answer:
        if answer.status != 200:
            raise HTTPException(502, f"{url} answered {answer.status}")
        return await answer.read()


pipeline = FastAPI(lifespan=front)
relay = FastAPI(lifespan=front)
model = FastAPI()
post = FastAPI()


@pipeline.post("/predict")
async def picture(request: Request) -> Answer:
    tensor = preprocess(await request.body())
    scores = await ask(pipeline, os.environ["MODEL_URL"], pack(memoryview(tensor).cast("B")))
    return Answer.model_validate_json(await ask(pipeline, os.environ["POST_URL"], scores))


@relay.post("/predict")
async def tensor(request: Request) -> Answer:
    scores = await ask(relay, os.environ["MODEL_URL"], pack(await request.body()))
    return Answer(band=postprocess(np.frombuffer(scores, np.float32)))


@model.post("/predict")
async def scores(request: Request) -> Response:
    return Response(infer(unpack(await request.body())).tobytes(), media_type=BINARY)


@post.post("/predict")
async def band(request: Request) -> Answer:
    return Answer(band=postprocess(np.frombuffer(await request.body(), np.float32)))

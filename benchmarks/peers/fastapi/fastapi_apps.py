"""The tiny model on FastAPI: `model` answers by itself, `front` asks `model` over HTTP at $MODEL_URL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from tiny_model import classify


class Request(BaseModel):
    instances: list[list[float]]


class Answer(BaseModel):
    predictions: list[int]


model = FastAPI()


@model.post("/predict")
async def predict(request: Request) -> Answer:
    return Answer(predictions=classify(request.instances))


@asynccontextmanager
async def pooled_client(app: FastAPI) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app.state.session = session
        yield


front = FastAPI(lifespan=pooled_client)


@front.post("/predict")
async def forward(request: Request) -> Answer:
    body = request.model_dump_json()
    async with front.state.session.post(
        os.environ["MODEL_URL"], data=body, headers={"content-type": "application/json"}
    ) as answer:
        if answer.status != 200:
            raise HTTPException(502, f"the model service answered {answer.status}")
        return Answer.model_validate_json(await answer.read())

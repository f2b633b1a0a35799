"""A server with answers of every kind that the load generator meets."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Body(BaseModel):
    user_id: int


@app.post("/")
async def answer(body: Body) -> Body:
    return body


@app.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.1)
    return "slow"


@app.get("/never")
async def never() -> str:
    await asyncio.sleep(30)
    return "never"

"""A shop over four protocols: order_shop.py POSTGRES AMQP [PORT]

POST /orders {"id", "product"} writes the order to the table `journey_orders` of PostgreSQL, publishes it to the exchange
`journey` of RabbitMQ with its id as the routing key, answers 201, and tells the WebSocket /notices?user=N of its user.
It prints {"port": N} when it listens.
"""

import asyncio
import json
import sys

import aio_pika
import asyncpg
from aiohttp import WSMsgType, web


async def main():
    postgres, amqp = sys.argv[1:3]
    port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    pool = await asyncpg.create_pool(postgres, min_size=1, max_size=4)
    await pool.execute("create table if not exists journey_orders (id text primary key, product text not null)")
    broker = await aio_pika.connect_robust(amqp)
    channel = await broker.channel()
    exchange = await channel.declare_exchange("journey", aio_pika.ExchangeType.TOPIC, auto_delete=False)
    listeners = {}

    async def order(request):
        placed = await request.json()
        await pool.execute("insert into journey_orders values ($1, $2)", placed["id"], placed["product"])
        event = json.dumps({"type": "placed", "id": placed["id"]}).encode()
        message = aio_pika.Message(event, content_type="application/json")
        await exchange.publish(message, routing_key=f"order.{placed['user']}", mandatory=False)
        socket = listeners.get(str(placed["user"]))
        if socket is not None:
            await socket.send_json({"type": "notice", "id": placed["id"]})
        return web.json_response({"id": placed["id"]}, status=201)

    async def notices(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        user = request.query["user"]
        listeners[user] = socket
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        listeners.pop(user, None)
        return socket

    app = web.Application()
    app.router.add_post("/orders", order)
    app.router.add_get("/notices", notices)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(json.dumps({"port": site._server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

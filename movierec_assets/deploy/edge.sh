#!/bin/sh
# Starts Caddy with the hash of the password in its secret file; a new password counts from the next start.
set -eu
EDGE_PASSWORD_HASH=$(caddy hash-password --algorithm bcrypt --bcrypt-cost 11 </secrets/edge/password)
export EDGE_PASSWORD_HASH
exec caddy run --config /app/Caddyfile --adapter caddyfile

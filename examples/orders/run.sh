#!/usr/bin/env bash
# Runs the example until Ctrl-C: a NATS server, the MongoDB that is there (see scripts/mongo), the service, billing and mail.
#
#   LISTEN          where the service listens; localhost:8080
#   MONGODB_URI     and in it the database; what scripts/mongo brings up, and onceish
#   ORDERS_DATA     where NATS keeps its files, and mails go; ~/.local/share/onceish-orders
set -euo pipefail
cd "$(dirname "$0")/../.."

export LISTEN=${LISTEN:-localhost:8080}
data=${ORDERS_DATA:-${XDG_DATA_HOME:-$HOME/.local/share}/onceish-orders}
export ONCEISH_DATA_DIR=$data/nats MAILBOX=$data/mails
mkdir -p "$data"
MONGODB_URI=$(scripts/mongo)
export MONGODB_URI
bin=$(mktemp -d)
processes=()

end() {
	trap - EXIT
	trap '' INT TERM
	set +m # and say nothing of jobs that end
	if [ ${#processes[@]} -gt 0 ]; then
		kill -TERM "${processes[@]}" 2>/dev/null || true
		wait "${processes[@]}" || true
	fi
	[ -z "${server:-}" ] || kill -TERM "$server" 2>/dev/null || true # last: the others drain over it
	wait
	rm -rf "$bin"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

go build -o "$bin/" ./cmd/worker ./examples/orders

set -m # processes of their own groups: Ctrl-C is for this script, which ends them in their order
"$bin/worker" serve --log-level warn >"$bin/url" &
server=$!
until [ -s "$bin/url" ]; do
	kill -0 "$server"
	sleep 0.05
done
NATS_URL=$(cat "$bin/url")
export NATS_URL
"$bin/orders" service &
processes+=($!)
"$bin/orders" billing &
processes+=($!)
"$bin/worker" run -c examples/orders/mail.yaml --provision &
processes+=($!)

touch "$MAILBOX"
cat <<END

  curl -d '{"id":"1","customer":"ada","cents":500}' http://$LISTEN/orders
  curl -X DELETE http://$LISTEN/orders/1

as often as you like; kill any of the processes ${processes[*]} and start this again. Mails, in $MAILBOX:

END
tail -n 0 -F "$MAILBOX" &
processes+=($!)
wait -n "${processes[@]}"

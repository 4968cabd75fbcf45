# What the tests of the documents have at hand in the shell of a page.

# await FILE TEXT waits until a file has a text.
await() {
	local end=$((SECONDS + 100))
	while ((SECONDS < end)); do
		if grep -qsF -e "$2" "$1"; then return; fi
		sleep 0.05
	done
	printf 'there is no "%s" in %s:\n' "$2" "$1"
	cat "$1"
	return 1
}

# relay [ARGUMENTS] starts a relay with ./config.json, or with the token "test".
relay() {
	if [ ! -e config.json ]; then cp "$MPUSH/config.json" .; fi
	rm -f relay.log # an earlier one's, which would be read before it is written over
	mpush --config config.json --data data "$@" >relay.log 2>&1 &
	RELAY=$!
	await relay.log 'Stop with Ctrl-C.'
}

# stop PID ends a process that was started here.
stop() {
	kill "$1"
	wait "$1" || true
}

# receiver NAME [GROUP] starts a receiver, whose output is in NAME.log.
receiver() {
	rm -f "$1.log"
	command receiver --name "$1" --group "${2-}" --token "${TOKEN-test}" >"$1.log" 2>&1 &
	RECEIVER=$!
	await "$1.log" 'is listening'
}

# known NAME [GROUP] makes a receiver known that is away: the relay may notice
# after its process has ended.
known() {
	receiver "$@"
	stop "$RECEIVER"
	local end=$((SECONDS + 100))
	while ((SECONDS < end)); do
		if mpush receivers "$1" --data data --json | grep -qE '"up": ?false'; then return; fi
		sleep 0.05
	done
	mpush receivers "$1" --data data --json
	return 1
}

# dead NAME makes a dead letter of a receiver that is away; $MID is its mid.
dead() {
	MID=$(curl -s -H 'Prefer: wait=0' "http://127.0.0.1:9093/$1.send?text=late&ttl=1" | grep -o '[0-9]\{13\}')
	local end=$((SECONDS + 100))
	while ((SECONDS < end)); do
		if mpush dead list --data data | grep -q "$MID"; then return; fi
		sleep 0.1
	done
	echo "no dead letter"
	return 1
}

# checkout goes to the repository, of which a copy takes the place in this shell
# alone: so the compiler finds there what it has compiled before.
checkout() {
	mkdir checkout
	tar -C "$MPUSH" --exclude=./.git --exclude=node_modules --exclude=./bin --exclude=./data -cf - . | tar -C checkout -xf -
	mount --bind checkout "$MPUSH"
	cd "$MPUSH"
}

# built has "go run ./cmd/mpush" run the program that the page has built from the
# same sources by then. That the command itself does is seen in the blocks before.
built() {
	go() {
		if [ "$1 $2" = "run ./cmd/mpush" ]; then
			bin/mpush "${@:3}"
		else
			command go "$@"
		fi
	}
}

# crontab_lines prints what the lines of a crontab run.
crontab_lines() {
	sed -E 's/^([^ ]+ +){5}//; s/\\%/%/g'
}

# end_relay LOG ends the relay that has printed LOG: the parent of its channels.
end_relay() {
	local channel core
	channel=$(sed -n 's/^  http .* pid \([0-9]*\)$/\1/p' "$1" | tail -n 1)
	core=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$channel/status")
	kill "$core"
	while [ -e "/proc/$core" ]; do sleep 0.05; done
}

# old_keys prints what the file keys of an mpush 2.1 server holds.
old_keys() {
	node -e 'const e = require("crypto").createECDH("prime256v1"); e.generateKeys()
console.log(JSON.stringify({ publicKey: e.getPublicKey("base64url"), privateKey: e.getPrivateKey("base64url") }))'
}

// Package bench measures the whole pipeline as its users see it: real processes,
// loopback sockets, fsync on. It asserts nothing about time; figures are read by
// people and compared with earlier ones.
//
//	go test -run '^$' -bench Pipeline ./test/bench
//	go test -run '^$' -bench . -benchtime 20000x ./test/bench
//
// CPU figures are the processes' own, from /proc, and the steadiest on a machine
// that others use too; the clients' work is not in them.
package bench

import (
	"os"
	"testing"

	"mpush/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "cmd/mpush")) }

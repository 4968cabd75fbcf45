package core

import (
	"net"
	"regexp"
	"strings"
	"testing"
)

func TestTakenDefaultAddressDoesNotKeepTheOneBeforeOpen(t *testing.T) {
	s := serve(t, `, "ops": {"listen": "127.0.0.1:0"}`)
	said := regexp.MustCompile(`msg="health and metrics" address=(\S+)`).FindStringSubmatch(s.log.String())
	if said == nil {
		t.Fatalf("the log does not tell the address:\n%s", s.log)
	}
	conn, err := net.Dial("tcp", said[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	next := load(t, s.path, s.text(5000, ""))
	next.Ops.Listen = taken.Addr().String() // as if it were the default one, which tests share
	if _, err := s.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", said[1]); err == nil {
		conn.Close()
		t.Error("the address that was taken out of the file is still open")
	}
	if !strings.Contains(s.log.String(), "health and metrics are not served") {
		t.Errorf("nothing is said of it:\n%s", s.log)
	}
}

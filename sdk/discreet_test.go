package sdk

import (
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a plugin's author prints, and what tells of mistakes in a handler, stays
// as it is.
func TestOnlyRemarksOnConnectionsAreLeftOut(t *testing.T) {
	var all strings.Builder
	logger := log.New(discreet{&all}, "", 0)
	logger.Print("by hand")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusOK)
	}))
	server.Config.ErrorLog = logger
	server.Start()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	server.Close()
	if got := all.String(); !strings.HasPrefix(got, "by hand\nhttp: superfluous response.WriteHeader call from ") || strings.Count(got, "\n") != 2 {
		t.Errorf("printed %q", got)
	}
}

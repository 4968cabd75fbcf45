package control

import (
	"errors"
	"net/http"
	"testing"
)

func TestTokenIsLentForOneReceiver(t *testing.T) {
	client := open(t, &office{lend: func(name, group string) (string, error) {
		if name == "" {
			return "", errors.New("no name")
		}
		return "for " + name + " of " + group, nil
	}}, t.TempDir())
	if token, err := client.Lend(t.Context(), "phone", "family"); err != nil || token != "for phone of family" {
		t.Errorf("%q, %v", token, err)
	}
	_, err := client.Lend(t.Context(), "", "")
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Status != http.StatusBadRequest || refused.Message != "no name" {
		t.Errorf("%v", err)
	}
}

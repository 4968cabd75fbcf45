package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mpush/core/control"
)

func TestLettersOfAFullQueueHoldUpNobodyElses(t *testing.T) {
	full := &control.Error{Status: 429, Message: "the receiver's queue is full"}
	gone := &control.Error{Status: 404, Message: "no such letter"}
	for _, row := range []struct {
		name   string
		failed map[string]error // by mid and receiver
		tried  []string
		says   string
	}{
		{"all is well", nil, []string{"1 ann", "2 bob", "3 ann", "4 cid"}, ""},
		{"full", map[string]error{"1 ann": full}, []string{"1 ann", "2 bob", "4 cid"}, "1 ann: the receiver's queue is full (2 of 4 are done)"},
		{"gone", map[string]error{"1 ann": gone}, []string{"1 ann", "2 bob", "3 ann", "4 cid"}, ""},
		{"both", map[string]error{"1 ann": gone, "2 bob": full}, []string{"1 ann", "2 bob", "3 ann", "4 cid"}, "2 bob: the receiver's queue is full (2 of 3 are done)"},
		{"no relay", map[string]error{"2 bob": errors.New("no relay")}, []string{"1 ann", "2 bob"}, "2 bob: no relay (1 of 4 are done)"},
	} {
		letters := make([]control.DeadLetter, 4)
		for i, receiver := range []string{"ann", "bob", "ann", "cid"} {
			letters[i].Message.MID, letters[i].Delivery.Receiver = control.MID(i+1), receiver
		}
		var tried []string
		n, err := eachLetter(letters, func(l control.Letter) error {
			key := fmt.Sprint(l.MID, " ", l.Receiver)
			tried = append(tried, key)
			return row.failed[key]
		})
		if !slices.Equal(tried, row.tried) || n != len(row.tried)-len(row.failed) || err == nil != (row.says == "") || err != nil && err.Error() != row.says {
			t.Errorf("%s: %d of %q: %v", row.name, n, tried, err)
		}
	}
	one := make([]control.DeadLetter, 1)
	if _, err := eachLetter(one, func(control.Letter) error { return gone }); err == nil || !strings.Contains(err.Error(), "no such letter") {
		t.Errorf("the only one: %v", err)
	}
}

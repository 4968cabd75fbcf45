package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"mpush/test/harness"
)

func TestFiftySendersAndTenReceiversLoseRepeatAndReorderNothing(t *testing.T) {
	t.Parallel()
	const senders, each, receivers = 50, 40, 10
	relay := harness.Start(t, nil)
	var phones []*harness.Client
	for i := range receivers {
		phones = append(phones, relay.Receiver(t, fmt.Sprintf("phone%d", i)))
	}
	address, sent := relay.Address(t, "http"), make(chan error, senders)
	for s := range senders {
		go func() { sent <- sendInTurn(address, s, each, receivers, nil, "ok") }()
	}
	const perPhone = senders * each / receivers
	taken := make(chan map[string]string, receivers) // text by mid
	for _, phone := range phones {
		go func() { taken <- take(t, phone, perPhone) }()
	}
	for range senders {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	mids := make(map[string]string)
	for range phones {
		for mid, text := range <-taken {
			if other, twice := mids[mid]; twice {
				t.Errorf("mid %s is of %q and of %q", mid, other, text)
			}
			mids[mid] = text
		}
	}
	if len(mids) != senders*each && !t.Failed() {
		t.Errorf("%d messages were delivered, %d were sent", len(mids), senders*each)
	}
	for _, phone := range phones {
		phone.ExpectNothing(t)
	}
}

func TestQueuesOfReceiversThatAreAwayKeepEachSendersOrder(t *testing.T) {
	t.Parallel()
	const senders, each, receivers = 20, 40, 4
	relay := harness.Start(t, nil)
	for i := range receivers {
		relay.Away(t, fmt.Sprintf("phone%d", i), "")
	}
	address, sent := relay.Address(t, "http"), make(chan error, senders)
	for s := range senders {
		go func() { sent <- sendInTurn(address, s, each, receivers, http.Header{"Prefer": {"wait=0"}}, "ready") }()
	}
	for range senders {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	const perPhone = senders * each / receivers
	taken := make(chan map[string]string, receivers)
	for i := range receivers {
		phone := relay.Receiver(t, fmt.Sprintf("phone%d", i))
		go func() { taken <- take(t, phone, perPhone) }()
	}
	for range receivers {
		if texts := <-taken; len(texts) != perPhone {
			t.Errorf("a receiver got %d messages, %d were sent to it", len(texts), perPhone)
		}
	}
}

// sendInTurn is one sender: n messages, one after the other, each to the next of
// the receivers phone0, phone1, …; each text is "sender number". All must be
// answered with the status wanted.
func sendInTurn(address string, sender, n, receivers int, header http.Header, want string) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: harness.Patience}
	for i := range n {
		name := fmt.Sprintf("phone%d", (sender+i)%receivers)
		request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s.send?text=%d+%d", address, name, sender, i), nil)
		if err != nil {
			return err
		}
		request.Header = header
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return err
		}
		var reply struct {
			Data struct{ Status map[string]string }
		}
		if err := json.Unmarshal(body, &reply); err != nil || reply.Data.Status[name] != want {
			return fmt.Errorf("sender %d, message %d to %s: %s", sender, i, name, body)
		}
	}
	return nil
}

// take is one receiver: it acks n messages and checks that each comes once, and
// in its sender's order. It returns their texts by mid.
func take(t *testing.T, phone *harness.Client, n int) map[string]string {
	texts := make(map[string]string)
	last := make(map[int]int) // by sender: the number of the newest message
	for range n {
		m, err := phone.Receive()
		if err != nil {
			t.Errorf("after %d of %d messages: %v", len(texts), n, err)
			return texts
		}
		if _, twice := texts[m.MID]; twice {
			t.Errorf("mid %s came twice", m.MID)
		}
		texts[m.MID] = m.Text
		var sender, number int
		if _, err := fmt.Sscan(m.Text, &sender, &number); err != nil {
			t.Errorf("text %q", m.Text)
		}
		if newest, any := last[sender]; any && number <= newest {
			t.Errorf("sender %d: message %d came after %d", sender, number, newest)
		}
		last[sender] = number
		if err := phone.Confirm(m.MID); err != nil {
			t.Error(err)
			return texts
		}
	}
	return texts
}

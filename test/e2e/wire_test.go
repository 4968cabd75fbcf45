package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"mpush/test/harness"
)

// wire is what the rows of the tables run against: relays that differ in their
// settings and are shared by rows that differ in their receivers.
type wire struct {
	open   *harness.Relay // as the defaults are: senders need no token, receivers do
	strict *harness.Relay // everybody needs the token, no cors, small limits
	lax    *harness.Relay // receivers need no token, and wait less
	names  *atomic.Int64
}

const maxBytes = 4096 // of a body and of a frame, at the strict relay

func startWire(t *testing.T) wire {
	t.Helper()
	return wire{
		open: harness.Start(t, nil),
		strict: harness.Start(t, harness.Object{
			"http":      harness.Object{"verifyToken": true, "cors": false, "maxBody": maxBytes},
			"websocket": harness.Object{"maxFrame": maxBytes},
		}),
		lax: harness.Start(t, harness.Object{
			"websocket": harness.Object{"verifyToken": false, "retryTimeout": 200, "waitTimeout": 500},
		}),
		names: new(atomic.Int64),
	}
}

func TestWire(t *testing.T) {
	t.Parallel()
	w := startWire(t)
	t.Run("HTTPIngress", func(t *testing.T) { showHTTPIngress(t, w) })
	t.Run("WebsocketChannel", func(t *testing.T) { showWebsocketChannel(t, w) })
	t.Run("OneRelay", func(t *testing.T) {
		t.Parallel()
		runAll(t, w, oneRelayShows())
	})
}

// name returns a receiver's name, or a group's, that no other row uses.
func (w wire) name() string { return fmt.Sprintf("n%d", w.names.Add(1)) }

// phone is a connected receiver of a row's own.
func (w wire) phone(t *testing.T, relay *harness.Relay) *harness.Client {
	t.Helper()
	return relay.Receiver(t, w.name())
}

// show is a row that needs more than a pattern.
type show struct {
	line string
	run  func(t *testing.T, w wire)
}

func runAll(t *testing.T, w wire, rows []show) {
	for _, row := range rows {
		t.Run(row.line, func(t *testing.T) {
			t.Parallel()
			row.run(t, w)
		})
	}
}

// oneRelayShows are tests of their own that do with the open relay, each with
// receivers and groups that are nowhere else.
func oneRelayShows() []show {
	return []show{
		{"MessageReachesAConnectedReceiverAndItsAckTheSender", showMessageReachesAConnectedReceiverAndItsAckTheSender},
		{"CoreAndChannelsAreThreeProcesses", showCoreAndChannelsAreThreeProcesses},
		{"NewerSocketTakesOverTheNameWithTheMessageInFlight", showNewerSocketTakesOverTheNameWithTheMessageInFlight},
		{"RepeatedGroupSendIsForThoseOfTheFirst", showRepeatedGroupSendIsForThoseOfTheFirst},
		{"SendWaitsForAReceiverThatComesLaterAndTraceTellsTheStory", showSendWaitsForAReceiverThatComesLaterAndTraceTellsTheStory},
		{"SendThatIsNotDeliveredInTimeExitsWithThree", showSendThatIsNotDeliveredInTimeExitsWithThree},
		{"SecondSignalEndsWhatTheFirstDoesNot", showSecondSignalEndsWhatTheFirstDoesNot},
		{"ListenGivesACommandMoreThanAnEnvironmentHolds", showListenGivesACommandMoreThanAnEnvironmentHolds},
		{"ListenKeepsWhatItCouldNotWriteInTheQueue", showListenKeepsWhatItCouldNotWriteInTheQueue},
		{"WebpushMayBeSwitchedOff", showWebpushMayBeSwitchedOff},
	}
}

// at once is a request that does not wait for the receivers.
func atOnce(target string) harness.Request {
	return harness.Request{Target: target, Header: []string{"Prefer: wait=0"}}
}

// queue sends messages and does not wait for their delivery; it returns their
// mids.
func queue(t *testing.T, relay *harness.Relay, name string, texts ...string) (mids []string) {
	t.Helper()
	for _, text := range texts {
		reply := relay.Do(t, atOnce("/"+name+".send?text="+text))
		words := reply.Expect(t, 200, fmt.Sprintf(`{"cmd":"MESSAGE_REPLY","data":{"mid":"<mid>","status":{%q:"<status>"},%[1]q:"<status>"}}`, name))
		if status := words["status"]; status != "ready" && status != "wait" {
			t.Fatalf("status %q", status)
		}
		mids = append(mids, words["mid"])
	}
	return mids
}

// nothingMore makes sure that nothing is queued for a receiver and nothing is in
// flight: the next message that it gets is the next one sent.
func nothingMore(t *testing.T, relay *harness.Relay, phone *harness.Client) {
	t.Helper()
	answer := relay.Begin(t, harness.Request{
		Target: "/" + url.PathEscape(phone.Name) + ".send?text=fence",
		Header: []string{"Authorization: " + relay.Token},
	})
	phone.Take(t, "fence")
	answer().ExpectStatuses(t, statuses{phone.Name: "ok"})
}

// fill puts the row's own words in place of NAME, GROUP, SESSION and TOKEN.
type fill struct{ *strings.Replacer }

func newFill(name, group, session, token string) fill {
	return fill{strings.NewReplacer("NAME", name, "GROUP", group, "SESSION", session, "TOKEN", token)}
}

func (f fill) request(q harness.Request) harness.Request {
	q.Target, q.Body = f.Replace(q.Target), f.Replace(q.Body)
	header := make([]string, 0, len(q.Header))
	for _, line := range q.Header {
		header = append(header, f.Replace(line))
	}
	q.Header = header
	return q
}

func get(target string, header ...string) harness.Request {
	return harness.Request{Target: target, Header: header}
}

func postJSON(target, body string, header ...string) harness.Request {
	return harness.Request{Method: "POST", Target: target, Body: body, Header: append(header, "Content-Type: application/json")}
}

func postForm(target, body string, header ...string) harness.Request {
	return harness.Request{Method: "POST", Target: target, Body: body, Header: append(header, "Content-Type: application/x-www-form-urlencoded")}
}

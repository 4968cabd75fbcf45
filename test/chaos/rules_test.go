//go:build linux

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// desk writes a ledger as a test tells it, one second after the other.
type desk struct {
	*ledger
	now   time.Time
	conns map[string]*connection
	ended func() // of the last stop
}

func newDesk() *desk {
	d := &desk{now: time.Unix(1_700_000_000, 0), conns: make(map[string]*connection)}
	d.ledger = newLedger(400*time.Millisecond, map[string][]string{"both": {"a", "b"}}, []*inbox{
		newInbox("a"), newInbox("b"), newAsked("w", "webhook"), newAsked("p", "webpush"), newBeside("a", "webpush"),
	})
	d.connect("a").connect("b").connect("w").connect("p").connect("a/webpush")
	return d
}

func (d *desk) pass(t time.Duration) *desk {
	d.now = d.now.Add(t)
	return d
}

func (d *desk) connect(name string) *desk {
	d.now = d.now.Add(time.Microsecond)
	d.conns[name] = &connection{inbox: name, opened: d.now}
	return d
}

func (d *desk) send(text string, number int, target string) *desk {
	sendType := "personal"
	if target == "both" {
		sendType = "group"
	}
	d.sending(d.now, &send{text: text, sender: "s", number: number, method: "http", sendType: sendType, target: target})
	return d
}

// told answers a send, with statuses as "name status name status".
func (d *desk) told(text string, mid int64, statuses string) *desk {
	words, all := strings.Fields(statuses), make(map[string]string)
	for i := 0; i < len(words); i += 2 {
		all[words[i]] = words[i+1]
	}
	d.answered(d.now, d.sends[text], mid, all)
	return d
}

func (d *desk) lost(text string, f fate) *desk {
	d.unanswered(d.now, d.sends[text], f, "reason")
	return d
}

func (d *desk) get(name, text string, mid int64) *desk {
	s := d.sends[text]
	if s == nil {
		s = &send{sendType: "personal", target: name, method: "http"}
	}
	d.delivered(d.now, d.conns[name], packet{mid: mid, text: text, sendType: s.sendType, target: s.target, method: s.method})
	return d
}

func (d *desk) ack(name string, mid int64) *desk {
	d.confirms(d.now, name, mid, "", false)
	return d
}

func (d *desk) kill(victim string) *desk {
	d.kills(d.now, victim)(d.now)
	return d
}

func (d *desk) stop(channel string) *desk {
	d.ended = d.stops(d.now, channel)
	return d
}

// stopped is the end of the last stop.
func (d *desk) stopped() *desk {
	d.ended()
	return d
}

func (d *desk) settle() *desk {
	d.balance()
	return d
}

// short gives a message that was sent a time of its own.
func (d *desk) short(text string, ttl time.Duration) *desk {
	d.sends[text].ttl = ttl
	return d
}

// cut cuts the senders' connections now.
func (d *desk) cutOff() *desk {
	d.now = d.now.Add(time.Microsecond)
	d.cuts(d.now)
	return d
}

// buried is a dead letter of now.
func (d *desk) buried(name, text string, mid int64, reason string) *desk {
	d.bury(deadLetter{letter{mid, name}, text, reason, d.now})
	return d
}

// book is an audit, with accounts as "name accepted acked handedOff dead"; of
// others there is nothing.
func (d *desk) book(accounts ...string) *desk {
	told := map[string]account{}
	for name := range d.boxes {
		told[name] = account{Receiver: name, Balanced: true}
	}
	for _, text := range accounts {
		a := account{Balanced: true}
		if _, err := fmt.Sscan(text, &a.Receiver, &a.Accepted, &a.Acked, &a.HandedOff, &a.Dead); err != nil {
			panic(err)
		}
		told[a.Receiver] = a
	}
	d.audit(slices.Collect(maps.Values(told)))
	return d
}

// unsure makes the last ack one that may have come too late.
func (d *desk) unsure(name string, mid int64) *desk {
	d.inboxes[name].copies[mid].unsure = true
	return d
}

// take is a delivery with its ack.
func (d *desk) take(name, text string, mid int64) *desk { return d.get(name, text, mid).ack(name, mid) }

func TestLedgerNoticesBrokenPromises(t *testing.T) {
	const ms = time.Millisecond
	// one: "m" was accepted and taken; two: then "n" as well.
	one := func() *desk { return newDesk().send("m", 1, "a").told("m", 5, "a ready").take("a", "m", 5) }
	two := func() *desk { return one().send("n", 2, "a").told("n", 6, "a ready").take("a", "n", 6) }
	for name, c := range map[string]struct {
		desk *desk
		want string // part of the only complaint; "": none
	}{
		"all is well":                            {two().settle(), ""},
		"accepted and never delivered":           {newDesk().send("m", 1, "a").told("m", 5, "a ready").settle(), "did not arrive"},
		"unknown and never delivered":            {newDesk().send("m", 1, "a").lost("m", unknown).settle(), ""},
		"unknown and delivered":                  {newDesk().send("m", 1, "a").lost("m", unknown).take("a", "m", 5).settle(), ""},
		"never answered":                         {newDesk().send("m", 1, "a").settle(), "still under way"},
		"group reached in part":                  {newDesk().send("m", 1, "both").lost("m", unknown).take("a", "m", 5).settle(), "1 of the 2"},
		"group reached":                          {newDesk().send("m", 1, "both").told("m", 5, "a wait b ready").take("a", "m", 5).take("b", "m", 5).settle(), ""},
		"reply without a member":                 {newDesk().send("m", 1, "both").told("m", 5, "a wait"), "names [a]"},
		"refused, then delivered":                {newDesk().send("m", 1, "a").lost("m", refused).get("a", "m", 5), "was refused"},
		"delivered, then refused":                {newDesk().send("m", 1, "a").get("a", "m", 5).lost("m", refused), "was refused"},
		"nobody's message":                       {newDesk().get("a", "m", 5), "nobody sent"},
		"somebody else's message":                {newDesk().send("m", 1, "b").get("a", "m", 5), "was sent to [b]"},
		"delivered and never taken":              {newDesk().send("m", 1, "a").told("m", 5, "a wait").get("a", "m", 5).settle(), "given up"},
		"ok without an ack":                      {newDesk().send("m", 1, "a").get("a", "m", 5).told("m", 5, "a ok"), "has not confirmed"},
		"ok before delivery":                     {newDesk().send("m", 1, "a").told("m", 5, "a ok"), "has not confirmed"},
		"ok":                                     {newDesk().send("m", 1, "a").take("a", "m", 5).told("m", 5, "a ok"), ""},
		"failed":                                 {newDesk().send("m", 1, "a").told("m", 5, "a failed"), "has failed for a"},
		"told another mid than delivered":        {newDesk().send("m", 1, "a").get("a", "m", 5).told("m", 6, "a wait"), "mids 5 and 6"},
		"delivered with another mid":             {one().get("a", "m", 6), "mids 5 and 6"},
		"a mid twice":                            {one().send("n", 2, "a").told("n", 5, "a ready"), "is of"},
		"a mid of the past":                      {one().send("n", 2, "a").told("n", 4, "a ready"), "given before"},
		"mids not in order":                      {newDesk().send("m", 1, "a").send("n", 2, "a").take("a", "m", 6).get("a", "n", 5), "after 6"},
		"a sender's order":                       {newDesk().send("m", 2, "a").send("n", 1, "a").take("a", "m", 5).get("a", "n", 6), "s's message 1"},
		"two in flight":                          {newDesk().send("m", 1, "a").send("n", 2, "a").get("a", "m", 5).get("a", "n", 6), "before it confirmed 5"},
		"two in flight, reconnected":             {newDesk().send("m", 1, "a").send("n", 2, "a").get("a", "m", 5).connect("a").get("a", "n", 6), "before it confirmed 5"},
		"again on time":                          {one().pass(400*ms).get("a", "m", 5), ""},
		"again too soon":                         {one().pass(300*ms).get("a", "m", 5), "2th time"},
		"thrice on time":                         {one().pass(700*ms).get("a", "m", 5).pass(100*ms).get("a", "m", 5), ""},
		"thrice too soon":                        {one().pass(700*ms).get("a", "m", 5).get("a", "m", 5), "3th time"},
		"again after a reconnect":                {one().connect("a").get("a", "m", 5), ""},
		"reconnected, again too soon":            {one().pass(time.Second).connect("a").get("a", "m", 5).get("a", "m", 5), "2th time"},
		"ok, and again after a reconnect":        {one().told("m", 5, "a ok").connect("a").get("a", "m", 5), "no core died"},
		"ok, and again after a core":             {one().told("m", 5, "a ok").kill("core").connect("a").get("a", "m", 5), ""},
		"ok, and again after a channel":          {one().told("m", 5, "a ok").kill("websocket").connect("a").get("a", "m", 5), "no core died"},
		"ok, and again long before a core":       {one().told("m", 5, "a ok").pass(time.Minute).kill("core").connect("a").get("a", "m", 5), "no core died"},
		"ok, and again after an older death":     {newDesk().kill("core").pass(ms).send("m", 1, "a").take("a", "m", 5).told("m", 5, "a ok").connect("a").get("a", "m", 5), "no core died"},
		"ok, again after a core, and again":      {one().told("m", 5, "a ok").kill("core").connect("a").take("a", "m", 5).connect("a").get("a", "m", 5), ""},
		"ok, again over a connection of before":  {newDesk().send("m", 1, "a").get("a", "m", 5).connect("a").ack("a", 5).told("m", 5, "a ok").get("a", "m", 5), ""},
		"followed, again after a reconnect":      {two().connect("a").get("a", "m", 5), "no process died"},
		"followed, again after a channel":        {two().kill("websocket").connect("a").get("a", "m", 5), ""},
		"followed, a core dies, acked once more": {two().kill("core").pass(ms).ack("a", 5).connect("a").get("a", "m", 5), ""},
		"followed, again after a core":           {two().kill("core").connect("a").get("a", "m", 5), ""},
		"followed, again after another":          {two().kill("http").connect("a").get("a", "m", 5), "no process died"},
		"followed, again, same connection":       {two().pass(time.Second).get("a", "m", 5), "same connection"},
		"the last again after a reconnect":       {two().connect("a").get("a", "n", 6), ""},
		"two taken, a core dies, both again":     {two().kill("core").connect("a").take("a", "m", 5).take("a", "n", 6).settle(), ""},
		"again, and again without a reason":      {two().kill("core").pass(ms).connect("a").take("a", "m", 5).take("a", "n", 6).connect("a").get("a", "m", 5), "no process died"},
		"unconfirmed at first, taken then":       {newDesk().send("m", 1, "a").told("m", 5, "a wait").get("a", "m", 5).connect("a").take("a", "m", 5).settle(), ""},
		"expired":                                {newDesk().send("m", 1, "a").short("m", time.Second).told("m", 5, "a ready").pass(time.Second).buried("a", "m", 5, "expired").settle(), ""},
		"expired too early":                      {newDesk().send("m", 1, "a").short("m", time.Second).told("m", 5, "a ready").pass(900*ms).buried("a", "m", 5, "expired").settle(), "dead letter (expired), 900ms"},
		"expired without a time":                 {newDesk().send("m", 1, "a").told("m", 5, "a ready").pass(time.Hour).buried("a", "m", 5, "expired").settle(), "dead letter (expired)"},
		"dead for another reason":                {newDesk().send("m", 1, "a").short("m", time.Second).told("m", 5, "a ready").pass(time.Second).buried("a", "m", 5, "rejected").settle(), "dead letter (rejected)"},
		"dead, and nobody's":                     {newDesk().buried("a", "m", 5, "expired"), "nobody sent"},
		"dead, and somebody else's":              {newDesk().send("m", 1, "b").short("m", ms).told("m", 5, "b ready").pass(ms).buried("a", "m", 5, "expired"), "was sent to [b]"},
		"dead, though refused":                   {newDesk().send("m", 1, "a").short("m", ms).lost("m", refused).pass(ms).buried("a", "m", 5, "expired"), "was refused"},
		"unknown and dead for half of a group":   {newDesk().send("m", 1, "both").short("m", ms).lost("m", unknown).pass(ms).buried("a", "m", 5, "expired").settle(), "1 of the 2"},
		"failed in time":                         {newDesk().send("m", 1, "a").short("m", time.Second).pass(time.Second).told("m", 5, "a failed"), ""},
		"follows one that has expired":           {newDesk().send("m", 1, "a").short("m", time.Second).send("n", 2, "a").get("a", "m", 5).pass(time.Second).get("a", "n", 6), ""},
		"follows one that has not":               {newDesk().send("m", 1, "a").short("m", time.Minute).send("n", 2, "a").get("a", "m", 5).pass(time.Second).get("a", "n", 6), "before it confirmed 5"},
		"order after a cut":                      {newDesk().send("m", 1, "a").cutOff().lost("m", unknown).send("n", 2, "a").take("a", "n", 6).take("a", "m", 7), ""},
		"order long after a cut":                 {newDesk().cutOff().pass(ms).send("m", 1, "a").lost("m", unknown).send("n", 2, "a").take("a", "n", 6).get("a", "m", 7), "s's message 1"},

		"asked again, unanswered":           {newDesk().send("m", 1, "w").told("m", 5, "w wait").get("w", "m", 5).connect("w").take("w", "m", 5).settle(), ""},
		"asked again, though it answered":   {newDesk().send("m", 1, "w").take("w", "m", 5).connect("w").get("w", "m", 5), "had been answered"},
		"asked again, its answer late":      {newDesk().send("m", 1, "w").take("w", "m", 5).unsure("w", 5).connect("w").get("w", "m", 5), ""},
		"asked again after its channel":     {newDesk().send("m", 1, "w").take("w", "m", 5).kill("webhook").connect("w").get("w", "m", 5), ""},
		"asked again, answered to a dead":   {newDesk().send("m", 1, "w").get("w", "m", 5).kill("webhook").pass(time.Second).ack("w", 5).connect("w").get("w", "m", 5), ""},
		"asked again, read after the death": {newDesk().send("m", 1, "w").kill("core").pass(50*ms).connect("w").take("w", "m", 5).connect("w").get("w", "m", 5), ""},
		"asked again, long after the death": {newDesk().send("m", 1, "w").kill("core").pass(2*time.Second).connect("w").take("w", "m", 5).connect("w").get("w", "m", 5), "had been answered"},
		"asked again after another":         {newDesk().send("m", 1, "w").take("w", "m", 5).kill("webpush").connect("w").get("w", "m", 5), "had been answered"},
		"asked again, answered to a stop":   {newDesk().send("m", 1, "w").get("w", "m", 5).stop("webhook").pass(501*ms).ack("w", 5).connect("w").get("w", "m", 5), ""},
		"asked again, early in a stop":      {newDesk().send("m", 1, "w").get("w", "m", 5).stop("webhook").pass(500*ms).ack("w", 5).connect("w").get("w", "m", 5), "had been answered"},
		"asked again, another's stop":       {newDesk().send("m", 1, "w").get("w", "m", 5).stop("webpush").pass(501*ms).ack("w", 5).connect("w").get("w", "m", 5), "had been answered"},
		"asked again after a stop":          {newDesk().send("m", 1, "w").get("w", "m", 5).stop("webhook").pass(501*ms).stopped().ack("w", 5).connect("w").get("w", "m", 5), "had been answered"},
		"asked for two":                     {newDesk().send("m", 1, "w").send("n", 2, "w").get("w", "m", 5).connect("w").get("w", "n", 6), "before it confirmed 5"},
		"pushed":                            {newDesk().send("m", 1, "p").take("p", "m", 5).told("m", 5, "p webpush-ok").settle(), ""},
		"pushed again, though it was taken": {newDesk().send("m", 1, "p").take("p", "m", 5).told("m", 5, "p webpush-ok").connect("p").get("p", "m", 5), "no core died"},
		"pushed is not ok":                  {newDesk().send("m", 1, "p").take("p", "m", 5).told("m", 5, "p ok"), "has not confirmed"},
		"not pushed":                        {newDesk().send("m", 1, "p").get("p", "m", 5).told("m", 5, "p webpush-ok"), "has not confirmed"},
		"pushed beside":                     {newDesk().send("m", 1, "a").take("a/webpush", "m", 5).take("a", "m", 5).told("m", 5, "a ok").connect("a/webpush").get("a/webpush", "m", 5).settle(), ""},
		"pushed beside, not in order":       {newDesk().send("m", 3, "a").send("n", 2, "a").take("a/webpush", "n", 6).get("a/webpush", "m", 5), "after 6"},
		"pushed beside, confirmed before":   {newDesk().send("m", 1, "a").send("n", 2, "a").take("a", "m", 5).take("a/webpush", "n", 6).get("a/webpush", "m", 5), ""},

		"the books":                            {two().settle().book("a 2 2 0 0"), ""},
		"the books have one less":              {two().settle().book("a 1 1 0 0"), "Accepted:1"},
		"the books have one more":              {two().settle().book("a 3 3 0 0"), "Accepted:3"},
		"the books have one dead":              {two().settle().book("a 2 1 0 1"), "Dead:1"},
		"the books have it handed off":         {newDesk().send("m", 1, "w").take("w", "m", 5).book("w 1 0 1 0"), "HandedOff:1"},
		"the books, pushed":                    {newDesk().send("m", 1, "p").take("p", "m", 5).book("p 1 0 1 0"), ""},
		"the books, pushed and acked":          {newDesk().send("m", 1, "p").take("p", "m", 5).book("p 1 1 0 0"), "Acked:1"},
		"the books, expired":                   {newDesk().send("m", 1, "b").short("m", ms).told("m", 5, "b ready").pass(ms).buried("b", "m", 5, "expired").settle().book("b 1 0 0 1"), ""},
		"the books of a stranger":              {newDesk().book("x 1 1 0 0"), "nobody has sent"},
		"confirmed late over a new connection": {newDesk().send("m", 1, "a").told("m", 5, "a wait").get("a", "m", 5).connect("a").ack("a", 5).settle(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := c.desk.complaints()
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("it complains: %s", found)
			case c.want != "" && len(found) != 1:
				t.Errorf("it has %d complaints, not one about %q: %s", len(found), c.want, found)
			case c.want != "" && !strings.Contains(found[0], c.want):
				t.Errorf("it complains about %s, not about %q", found[0], c.want)
			}
		})
	}
}

func TestLedgerNoticesStrangePackets(t *testing.T) {
	for name, change := range map[string]func(*packet){
		"sendType": func(p *packet) { p.sendType = "group" },
		"target":   func(p *packet) { p.target = "b" },
		"method":   func(p *packet) { p.method = "websocket" },
		"from":     func(p *packet) { p.from = "b" },
	} {
		d := newDesk().send("m", 1, "a")
		p := packet{mid: 5, text: "m", sendType: "personal", target: "a", method: "http"}
		change(&p)
		d.delivered(d.now, d.conns["a"], p)
		if found := d.complaints(); len(found) != 1 || !strings.Contains(found[0], "came as") {
			t.Errorf("%s: %s", name, slices.Concat([]string{"complaints"}, found))
		}
	}
}

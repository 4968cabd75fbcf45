package hostile

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mpush/test/harness"
)

// refused is a packet and what the INFO that answers it must say.
type refused struct{ packet, info string }

// good is a packet that would be queued. What is done to it must prevent that.
const good = `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"` + victim + `","message":{"text":"t\u00e9","desp":"d","extra":{"a":[1.5e3,"x",null,true]}}}}`

func message(data string) string  { return `{"cmd":"MESSAGE","data":` + data + `}` }
func callback(data string) string { return `{"cmd":"MESSAGE_CALLBACK","data":` + data + `}` }
func auth(data string) string     { return `{"cmd":"AUTH","data":` + data + `}` }

func refusals() []refused {
	var all []refused
	for _, rows := range [][]refused{brokenJSON(), nested(), wrongTypes(), badNames(), badWords()} {
		all = append(all, rows...)
	}
	return all
}

// brokenJSON has every beginning of a good packet, and the good packet with
// every byte replaced by one that must not stand there.
func brokenJSON() (rows []refused) {
	for i := range good {
		rows = append(rows,
			refused{good[:i], "not JSON: it ends too early"},
			refused{good[:i] + "\x00" + good[i+1:], fmt.Sprintf(`not JSON: unexpected '\x00' at byte %d`, i+1)},
			refused{good[:i] + "\xff" + good[i+1:], "not valid UTF-8"},
		)
	}
	for _, text := range []string{
		good + "x", good + good, "\xef\xbb\xbf" + good, strings.ReplaceAll(good, `"`, `'`), strings.Replace(good, "}", ",}", 1),
		strings.Replace(good, "1.5e3", "NaN", 1), strings.Replace(good, "1.5e3", "01", 1), strings.Replace(good, "1.5e3", "0x1", 1),
		strings.Replace(good, "1.5e3", "+1", 1), strings.Replace(good, "1.5e3", "1.", 1), strings.Replace(good, `\u00e9`, `\x41`, 1),
		"// a comment\n" + good, strings.Replace(good, `"t`, "\"\n", 1), "MESSAGE", "<xml/>",
	} {
		rows = append(rows, refused{text, "not JSON: unexpected "})
	}
	utf16 := "\xff\xfe"
	for _, c := range []byte(good) {
		utf16 += string([]byte{c, 0})
	}
	for _, text := range []string{utf16, strings.Replace(good, `t\u00e9`, "\xed\xa0\x80", 1), strings.Replace(good, `t\u00e9`, "\xc0\x80", 1), strings.Replace(good, `t\u00e9`, "\xf4\x90\x80\x80", 1)} {
		rows = append(rows, refused{text, "not valid UTF-8"})
	}
	for _, text := range []string{"null", "true", "5", `"MESSAGE"`, "[]", "[" + good + "]"} {
		rows = append(rows, refused{text, "expected a packet: a JSON object"})
	}
	return rows
}

const depth = 10_000

func arrays() string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func nested() (rows []refused) {
	objects := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	for _, deep := range []string{arrays(), objects, strings.Repeat("[", depth), strings.Repeat(`{"":`, depth)} {
		for _, packet := range []string{
			deep, message(deep), auth(deep), callback(`{"mid":` + deep + `}`), `{"cmd":` + deep + `}`, `{"cmd":"MESSAGE","auth":` + deep + `}`,
			strings.Replace(good, "1.5e3", deep, 1), strings.Replace(good, `{"text"`, deep, 1), `{"more":` + deep + "," + good[1:],
		} {
			rows = append(rows, refused{packet, "nested deeper than 64 levels"})
		}
	}
	return rows
}

// wrongTypes puts values of every JSON type where another is wanted. Where a
// text is wanted any scalar does: those are not here.
func wrongTypes() (rows []refused) {
	containers := []string{`{}`, `[]`, `{"a":1}`, `["x"]`, `[[],{}]`}
	scalars := []string{`null`, `true`, `false`, `0`, `-1.5e300`, `12345678901234567890123456789`, `""`, `"x"`}
	put := func(values []string, info string, packet func(value string) string) {
		for _, value := range values {
			rows = append(rows, refused{packet(value), info})
		}
	}
	noObjects := append([]string{`[]`, `["x"]`, `[{}]`}, scalars...)

	put([]string{`null`}, "cmd: expected a string", func(v string) string { return `{"cmd":` + v + `}` })
	put(append([]string{`5`, `true`, `""`, `"` + strings.Repeat("A", 65) + `"`}, containers...), "cmd: expected the name of a command", func(v string) string { return `{"cmd":` + v + `}` })
	put(containers, "auth: expected a string", func(v string) string { return `{"auth":` + v + `,` + good[1:] })
	for _, make := range []func(string) string{message, callback, auth} {
		put(noObjects, "data: expected an object", make)
	}
	rows = append(rows, refused{`{"cmd":"MESSAGE"}`, "data: expected an object"})

	personal := func(member string) string { return message(`{"sendType":"personal",` + member + `}`) }
	put(append([]string{`"Personal"`, `"all"`, `5`, `null`, `""`}, containers...), `data.sendType: expected "personal" or "group"`,
		func(v string) string { return message(`{"sendType":` + v + `,"target":"` + victim + `","message":{}}`) })
	put(containers, "data.target: expected a string", func(v string) string { return personal(`"target":` + v + `,"message":{}`) })
	put([]string{`null`, `""`}, "data.target: expected a name", func(v string) string { return personal(`"target":` + v + `,"message":{}`) })
	put(noObjects, "data.message: expected an object", func(v string) string { return personal(`"target":"` + victim + `","message":` + v) })
	for _, field := range []string{"text", "desp"} {
		put(containers, "data.message."+field+": expected a string", func(v string) string {
			return personal(`"target":"` + victim + `","message":{"` + field + `":` + v + `}`)
		})
	}
	for _, field := range []string{"token", "name", "group"} {
		put(containers, "data."+field+": expected a string", func(v string) string { return auth(`{"` + field + `":` + v + `}`) })
	}
	put(containers, "data.mid: expected a string", func(v string) string { return callback(`{"mid":` + v + `}`) })
	put([]string{`null`, `""`, `"x"`, `true`, `-1`, `1.5`, `1e3`, `"1_0"`, `" 1"`, `"１"`, `9223372036854775808`, `"` + strings.Repeat("9", 4000) + `"`},
		"data.mid: expected the decimal digits", func(v string) string { return callback(`{"mid":` + v + `}`) })
	return rows
}

// badNames has every control character, raw and escaped, in every name.
func badNames() (rows []refused) {
	places := map[string]func(name string) string{
		"data.target": func(name string) string {
			return message(`{"sendType":"group","target":"` + name + `","message":{}}`)
		},
		"data.name":  func(name string) string { return auth(`{"token":"x","name":"` + name + `"}`) },
		"data.group": func(name string) string { return auth(`{"token":"x","name":"n","group":"` + name + `"}`) },
	}
	for place, packet := range places {
		for r := range rune(0xa0) {
			if r >= 0x20 && r < 0x7f {
				continue
			}
			rows = append(rows, refused{packet(fmt.Sprintf(`a\u%04x`, r)), place + ": control characters are not allowed"})
			if r >= 0x7f {
				rows = append(rows, refused{packet("a" + string(r)), place + ": control characters are not allowed"})
			}
		}
		rows = append(rows, refused{packet(strings.Repeat("n", 257)), place + ": longer than 256 bytes"})
		rows = append(rows, refused{packet(strings.Repeat("语", 86)), place + ": longer than 256 bytes"})
		rows = append(rows, refused{packet(strings.Repeat("n", 100_000)), place + ": longer than 256 bytes"})
	}
	return rows
}

// badWords repeats keys, of which the last counts, and writes them in another
// case, which is another key.
func badWords() []refused {
	return []refused{
		{`{"CMD":"MESSAGE","Data":{}}`, "cmd: expected a string"},
		{good[:len(good)-1] + `,"data":5}`, "data: expected an object"},
		{good[:len(good)-1] + `,"cmd":""}`, "cmd: expected the name of a command"},
		{strings.Replace(good, `"target"`, `"Target"`, 1), "data.target: expected a name"},
		{strings.Replace(good, `"extra":`, `"text":[],"extra":`, 1), "data.message.text: expected a string"},
		{strings.Replace(good, `"message"`, `"sendType":null,"message"`, 1), "data.sendType"},
	}
}

func TestBadPacketsOverHTTP(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: harness.Patience}
	post := func(kind, body string) (status int, answer string) {
		t.Helper()
		response, err := client.Post("http://"+w.Address(t, "http")+"/", kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for _, row := range refusals() {
		status, answer := post("application/json", row.packet)
		if status != 400 || !strings.HasPrefix(answer, `{"cmd":"INFO","data":"`) || !strings.Contains(unquoted(answer), row.info) {
			t.Errorf("%.200q: got %d %s, want 400 with %q", row.packet, status, answer, row.info)
		}
	}
	for _, row := range nested() {
		status, answer := post("application/x-www-form-urlencoded", "cmd=MESSAGE&data="+url.QueryEscape(row.packet))
		if status != 400 || !strings.Contains(answer, "data: "+row.info) {
			t.Errorf("form %.200q: got %d %s", row.packet, status, answer)
		}
		// Without a cmd it is the flat form of a send.
		status, answer = post("application/json", `{"text":`+row.packet+`}`)
		if status != 400 || !strings.Contains(answer, row.info) {
			t.Errorf("flat %.200q: got %d %s", row.packet, status, answer)
		}
	}
	w.unharmed(t)
}

// All on one socket, which stays open and attached.
func TestBadPacketsOverASocket(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	pc := w.Receiver(t, "pc")
	for _, row := range refusals() {
		pc.Send(t, row.packet)
		if answer := pc.Next(t); !strings.HasPrefix(answer, `{"cmd":"INFO","data":"`) || !strings.Contains(unquoted(answer), row.info) {
			t.Errorf("%.200q: got %s, want %q", row.packet, answer, row.info)
		}
	}
	w.Do(t, harness.Request{Target: "/pc.send?text=hello", Header: []string{"Prefer: wait=0"}})
	pc.Take(t, "hello")
	pc.ExpectNothing(t)
	w.unharmed(t)
}

// Before AUTH, too, a fault is told, and nothing but AUTH is acted on.
func TestBadPacketsOfAStranger(t *testing.T) {
	t.Parallel()
	w := startWitness(t, harness.Object{"websocket": harness.Object{"authTimeout": 600_000}})
	stranger := w.Dial(t)
	for _, row := range refusals() {
		stranger.Send(t, row.packet)
		answer := stranger.Next(t)
		told := strings.HasPrefix(answer, `{"cmd":"INFO","data":"`) && strings.Contains(unquoted(answer), row.info)
		if !told && answer != `{"cmd":"AUTH","data":{"code":401,"msg":"Need Auth"}}` {
			t.Errorf("%.200q: got %s", row.packet, answer)
		}
	}
	stranger.Send(t, good)
	stranger.Expect(t, `{"cmd":"AUTH","data":{"code":401,"msg":"Need Auth"}}`)
	stranger.Auth(t, w.Token, "stranger", "")
	stranger.ExpectNothing(t)
	w.unharmed(t)
}

// Any scalar does for a text, and whatever is no object for no extra.
func TestOddTypesThatAreTaken(t *testing.T) {
	t.Parallel()
	w := startWitness(t, nil)
	pc := w.Receiver(t, "pc")
	for _, value := range []string{`null`, `true`, `0`, `-1.5e300`, `1e999999999`, strings.Repeat("9", 100_000), `"\ud800"`, `"\u0000"`} {
		w.PostJSON(t, "/", message(`{"sendType":"personal","target":"ghost","message":{"text":`+value+`,"desp":`+value+`,"extra":`+value+`}}`)).
			Expect(t, 200, `{"cmd":"MESSAGE_REPLY","data":{"status":{"ghost":"no"},"ghost":"no"}}`)
		pc.Send(t, message(`{"sendType":"group","target":"nobodys","message":{"text":`+value+`,"desp":`+value+`,"extra":[`+value+`]}}`))
		pc.Expect(t, `{"cmd":"MESSAGE_REPLY","data":{"status":{}}}`)
	}
	w.unharmed(t)
}

// unquoted undoes the escapes that INFO texts with quotes in them have.
func unquoted(answer string) string {
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(answer)
}

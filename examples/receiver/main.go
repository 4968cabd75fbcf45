// Command receiver is a receiver in a few lines: it authenticates over a
// websocket, prints each message, acknowledges it, and comes back when the
// connection is lost.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/gorilla/websocket"
)

func main() {
	url := flag.String("url", "ws://127.0.0.1:9094", "where mpush's websocket channel listens")
	name := flag.String("name", "phone", "the receiver's name")
	group := flag.String("group", "", "the receiver's group, if any")
	token := flag.String("token", "test", "the token in mpush's config.json")
	flag.Parse()

	login := map[string]string{"token": *token, "name": *name, "group": *group}
	for {
		err := receive(*url, login)
		if errors.Is(err, errRefused) || websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			log.Fatal(err) // 1000: do not come again, as when another has taken the name over
		}
		log.Printf("%v; trying again", err)
		time.Sleep(time.Second)
	}
}

var errRefused = errors.New("refused")

// packet is what mpush sends, as far as a receiver needs it.
type packet struct {
	Cmd  string
	Data json.RawMessage
}

// receive handles one connection, until it is lost.
func receive(url string, login map[string]string) error {
	conn, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.WriteJSON(map[string]any{"cmd": "AUTH", "data": login}); err != nil {
		return err
	}
	last := ""
	for {
		var p packet
		if err := conn.ReadJSON(&p); err != nil {
			return err
		}
		switch p.Cmd {
		case "AUTH":
			var reply struct {
				Code int
				Msg  string
			}
			if err := json.Unmarshal(p.Data, &reply); err != nil {
				return err
			}
			if reply.Code != 200 {
				return fmt.Errorf("%w: %s", errRefused, reply.Msg)
			}
			log.Printf("%s is listening", login["name"])
		case "MESSAGE":
			var m struct {
				Mid     string
				Message struct {
					Text, Desp string
					Extra      json.RawMessage
				}
			}
			if err := json.Unmarshal(p.Data, &m); err != nil {
				return err
			}
			if m.Mid != last { // a message may come twice, with the same mid
				fmt.Printf("%s  %s  %s  %s\n", m.Mid, m.Message.Text, m.Message.Desp, m.Message.Extra)
				last = m.Mid
			}
			ack := map[string]any{"cmd": "MESSAGE_CALLBACK", "data": map[string]string{"mid": m.Mid}}
			if err := conn.WriteJSON(ack); err != nil {
				return err
			}
		case "INFO":
			log.Printf("mpush says %s", p.Data)
		}
	}
}

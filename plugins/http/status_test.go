package http

import (
	"fmt"
	"testing"

	"mpush/sdk/pluginpb"
	"mpush/sdk/plugintest"
)

// askedStatus is the next thing that the channel asks of the core, which must be
// for a status.
func askedStatus(core *plugintest.Core) string {
	s := plugintest.Next[*pluginpb.PluginEnvelope_GetStatus](core).GetStatus
	return fmt.Sprintf("%d%s", s.GetMid(), who(s.GetCredentials()))
}

func TestStatusIsAskedOfTheCoreByMid(t *testing.T) {
	for _, verify := range []string{"true", "false"} {
		t.Run("verifyToken "+verify, func(t *testing.T) {
			core := start(t, `"verifyToken":`+verify, plugintest.Options{})
			for _, row := range []struct{ name, request, asked string }{
				{"the token", request("GET", "/7.status", "", "authorization: test"), "7 token=test auth=test"},
				{"a scheme", request("GET", "/7.status", "", "authorization: Bearer test"), "7 token=test auth=test"},
				{"a prefix and a query", request("GET", "/a/b.send/7.status?x=1", "", "authorization: test"), "7 token=test auth=test"},
			} {
				got := exchange(t, core, row.request)
				if got.status != 200 || got.body != replied {
					t.Errorf("%s: %d %s", row.name, got.status, got.body)
				}
				if asked := askedStatus(core); asked != row.asked {
					t.Errorf("%s: asked %s, want %s", row.name, asked, row.asked)
				}
			}
			// Being let in to send is not being let in to look.
			if got := exchange(t, core, request("GET", "/7.status", "")); got.status != 401 || got.header.Get("Www-Authenticate") != "Bearer" {
				t.Errorf("without anything: %d %s", got.status, got.body)
			}
			if asked := askedStatus(core); asked != "7" {
				t.Errorf("asked %s", asked)
			}
		})
	}
}

func TestStatusRefusalsHaveTrueHTTPStatuses(t *testing.T) {
	var code pluginpb.ErrorCode
	core := start(t, "", plugintest.Options{Answer: func(e *pluginpb.PluginEnvelope) *pluginpb.CoreEnvelope {
		if e.GetGetStatus() == nil {
			return nil
		}
		return &pluginpb.CoreEnvelope{Body: &pluginpb.CoreEnvelope_Published{
			Published: &pluginpb.PublishResult{Error: &pluginpb.Error{Code: code, Message: "why"}}}}
	}})
	for given, want := range map[pluginpb.ErrorCode]int{
		pluginpb.ErrorCode_ERROR_CODE_NOT_FOUND: 404, pluginpb.ErrorCode_ERROR_CODE_UNAUTHENTICATED: 401,
		pluginpb.ErrorCode_ERROR_CODE_LIMIT: 429, pluginpb.ErrorCode_ERROR_CODE_UNAVAILABLE: 503,
	} {
		code = given
		if got := exchange(t, core, request("GET", "/7.status", "", "authorization: x")); got.status != want || got.body != info("why") {
			t.Errorf("%v: %d %s, want %d", given, got.status, got.body, want)
		}
		askedStatus(core)
	}
	for _, uri := range []string{"/x.status", "/.status", "/0.status", "/-7.status", "/7.5.status", "/9223372036854775808.status", "/%37.status", "/7%2Estatus"} {
		got := exchange(t, core, request("GET", uri, ""))
		if got.status != 400 && got.status != 404 {
			t.Errorf("%s: %d %s", uri, got.status, got.body)
		}
	}
	if got := exchange(t, core, request("POST", "/7.status", "", asForm)); got.status != 400 {
		t.Errorf("POST: %d %s", got.status, got.body)
	}
	nothingAsked(t, core)
}

func TestIdempotencyKeyIsThePacketsOrElseTheHeaders(t *testing.T) {
	core := start(t, "", plugintest.Options{Publish: replies("phone")})
	const packet = `{"cmd":"MESSAGE","data":{"sendType":"personal","target":"phone"%s,"message":{"text":"a"}}}`
	for _, row := range []struct{ name, request, want string }{
		{"none", request("GET", "/phone.send?text=a", ""), ""},
		{"GET", request("GET", "/phone.send?text=a", "", "idempotency-key: k"), "k"},
		{"a form", request("POST", "/phone.send", "text=a", asForm, "idempotency-key: k"), "k"},
		{"a flat object", request("POST", "/phone.send", `{"text":"a"}`, asJSON, "idempotency-key: k"), "k"},
		{"a packet, in the header", request("POST", "/", fmt.Sprintf(packet, ""), asJSON, "idempotency-key: k"), "k"},
		{"a packet, in itself", request("POST", "/", fmt.Sprintf(packet, `,"idempotencyKey":"p"`), asJSON), "p"},
		{"a packet, in both", request("POST", "/", fmt.Sprintf(packet, `,"idempotencyKey":"p"`), asJSON, "idempotency-key: k"), "p"},
		{"a number", request("POST", "/", fmt.Sprintf(packet, `,"idempotencyKey":12`), asJSON), "12"},
	} {
		if got := exchange(t, core, row.request); got.status != 200 || got.body != replied {
			t.Errorf("%s: %d %s", row.name, got.status, got.body)
		}
		if got := plugintest.Next[*pluginpb.PluginEnvelope_Publish](core).Publish.GetIdempotencyKey(); got != row.want {
			t.Errorf("%s: the key is %q, want %q", row.name, got, row.want)
		}
	}
	bad := request("POST", "/", fmt.Sprintf(packet, `,"idempotencyKey":{}`), asJSON)
	if got := exchange(t, core, bad); got.status != 400 {
		t.Errorf("an object: %d %s", got.status, got.body)
	}
	nothingAsked(t, core)
}

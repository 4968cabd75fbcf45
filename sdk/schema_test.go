package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mpush/sdk/pluginpb"
)

// every has a field of every kind that a section can hold.
type every struct {
	limits
	Token   string            `json:"token" jsonschema:"required,writeOnly=true,description=what the bot is called by"`
	Keys    []string          `json:"keys" jsonschema:"writeOnly=true"`
	Mode    string            `json:"mode" jsonschema:"enum=fast,enum=safe" jsonschema_description:"fast, or safe"`
	Name    string            `json:"name" jsonschema:"minLength=2,maxLength=4,pattern=^[a-z]*$"`
	Port    uint16            `json:"port" jsonschema:"minimum=1"`
	Small   int8              `json:"small"`
	Count   int64             `json:"count"`
	Ratio   float64           `json:"ratio" jsonschema:"exclusiveMinimum=0,maximum=1"`
	Step    int               `json:"step" jsonschema:"multipleOf=5"`
	On      bool              `json:"on"`
	Timeout time.Duration     `json:"timeout" jsonschema:"minimum=100"`
	Pauses  []time.Duration   `json:"pauses"`
	Clients []client          `json:"clients" jsonschema:"minItems=1"`
	Tags    []string          `json:"tags" jsonschema:"uniqueItems=true,maxItems=2,enum=a,enum=b,enum=c"`
	Headers map[string]string `json:"headers"`
	Proxy   *client           `json:"proxy"`
	Pair    [2]int            `json:"pair"`
	Bytes   []byte            `json:"bytes"`
	Raw     json.RawMessage   `json:"raw"`
	Any     any               `json:"any"`
	Net     netip.Prefix      `json:"net"`
	At      time.Time         `json:"at"`
	Tree    tree              `json:"tree"`
	Hidden  string            `json:"hidden" jsonschema:"-"`
	Skipped string            `json:"-"`
	Plain   string            `jsonschema:"required"`
	Hook    func()
	unseen  int
}

type tree struct {
	Branches []tree `json:"branches"`
}

func defaultEvery() *every {
	return &every{
		Token: "s3cret", Keys: []string{"k3y"}, Port: 80, Timeout: 3 * time.Second, On: true, Ratio: 0.5, Plain: "p",
		Tags: []string{"a"}, Headers: map[string]string{"x": "y"}, Net: netip.MustParsePrefix("10.0.0.0/8"),
		Proxy: &client{Name: "p"}, Clients: []client{{Name: "n"}}, unseen: 1,
	}
}

func TestSchemaOfEveryKind(t *testing.T) {
	schema, err := reflectSchema(defaultEvery())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema               string                     `json:"$schema"`
		Type                 string                     `json:"type"`
		AdditionalProperties *bool                      `json:"additionalProperties"`
		Required             []string                   `json:"required"`
		Properties           map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "https://json-schema.org/draft/2020-12/schema" || got.Type != "object" || got.AdditionalProperties == nil || *got.AdditionalProperties {
		t.Errorf("schema %q, type %q, additionalProperties %v", got.Schema, got.Type, got.AdditionalProperties)
	}
	if strings.Join(got.Required, " ") != "token plain" {
		t.Errorf("required %q", got.Required)
	}
	want := map[string]string{
		"depth":   `{"type":"integer","maximum":9223372036854775807,"minimum":-9223372036854775808,"default":0}`,
		"token":   `{"type":"string","description":"what the bot is called by","writeOnly":true}`,
		"keys":    `{"items":{"type":"string","writeOnly":true},"type":"array","writeOnly":true}`,
		"mode":    `{"type":"string","enum":["fast","safe"],"description":"fast, or safe","default":""}`,
		"name":    `{"type":"string","maxLength":4,"minLength":2,"pattern":"^[a-z]*$","default":""}`,
		"port":    `{"type":"integer","maximum":65535,"minimum":1,"default":80}`,
		"small":   `{"type":"integer","maximum":127,"minimum":-128,"default":0}`,
		"count":   `{"type":"integer","maximum":9223372036854775807,"minimum":-9223372036854775808,"default":0}`,
		"ratio":   `{"type":"number","maximum":1,"exclusiveMinimum":0,"default":0.5}`,
		"step":    `{"type":"integer","multipleOf":5,"maximum":9223372036854775807,"minimum":-9223372036854775808,"default":0}`,
		"on":      `{"type":"boolean","default":true}`,
		"timeout": `{"type":"integer","maximum":9223372036854,"minimum":100,"default":3000,"x-unit":"ms"}`,
		"pauses":  `{"items":{"type":"integer","maximum":9223372036854,"minimum":0,"x-unit":"ms"},"type":"array"}`,
		"tags":    `{"items":{"type":"string","enum":["a","b","c"]},"type":"array","maxItems":2,"uniqueItems":true,"default":["a"]}`,
		"headers": `{"additionalProperties":{"type":"string"},"type":"object","default":{"x":"y"}}`,
		"pair":    `{"items":{"type":"integer","maximum":9223372036854775807,"minimum":-9223372036854775808},"type":"array","maxItems":2,"default":[0,0]}`,
		"bytes":   `{"items":{"type":"integer","maximum":255,"minimum":0},"type":"array"}`,
		"raw":     `true`,
		"any":     `true`,
		"net":     `{"type":"string","default":"10.0.0.0/8"}`,
		"at":      `{"type":"string","format":"date-time"}`,
		"tree":    `{"type":"object"}`,
		"plain":   `{"type":"string"}`,
	}
	for name, wanted := range want {
		if !bytes.Equal(got.Properties[name], []byte(wanted)) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got.Properties[name], wanted)
		}
	}
	for _, name := range []string{"hidden", "skipped", "-", "hook", "unseen", "Plain", "limits"} {
		if _, there := got.Properties[name]; there {
			t.Errorf("it has a property %s", name)
		}
	}
	for _, within := range []string{`"default":"p"`, `"default":[{"name":"n"}]`} { // proxy.name, clients
		if !bytes.Contains(text, []byte(within)) {
			t.Errorf("no %s in %s", within, text)
		}
	}
	if bytes.Contains(text, []byte("s3cret")) || bytes.Contains(text, []byte("k3y")) {
		t.Errorf("it holds a secret: %s", text)
	}
}

func TestSchemaSaysWhatIsWrongWithAStruct(t *testing.T) {
	type embedded struct{ A int }
	for name, test := range map[string]struct {
		config any
		want   string
	}{
		"no pointer": {settings{}, "expected a pointer to a struct, got sdk.settings"},
		"nil":        {(*settings)(nil), "expected a pointer to a struct, got *sdk.settings"},
		"a map":      {&map[string]int{}, "expected a pointer to a struct, got *map[string]int"},
		"pattern": {&struct {
			A string `jsonschema:"pattern=["`
		}{}, "a: error parsing regexp"},
		"embedded pointer": {&struct{ *embedded }{}, "embed the struct by value"},
		"embedded as key": {&struct {
			embedded `json:"e"`
		}{}, "embed the struct by value"},
		"tag option": {&struct {
			A int `json:"a,string"`
		}{}, `the json tag's "string" means nothing here`},
	} {
		if _, err := reflectSchema(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeDemandsWhatTheTagsSay(t *testing.T) {
	for _, test := range []struct{ section, want string }{
		{`{}`, "plain: missing\ntoken: missing"},
		{`{"token": null, "plain": ""}`, "token: missing"},
		{`{"token": 5, "plain": ""}`, "token: expected a string, got a number"},
		{`{"token": "", "plain": "", "mode": "slow"}`, "mode: expected one of fast, safe"},
		{`{"token": "", "plain": "", "name": "x"}`, "name: expected at least 2 characters"},
		{`{"token": "", "plain": "", "name": "äöüßÄ"}`, "name: expected at most 4 characters"},
		{`{"token": "", "plain": "", "name": "AB"}`, "name: expected a text that matches ^[a-z]*$"},
		{`{"token": "", "plain": "", "port": 0}`, "port: expected at least 1"},
		{`{"token": "", "plain": "", "port": 65536}`, "port: 65536 is out of range, 0 to 65535"},
		{`{"token": "", "plain": "", "ratio": 0}`, "ratio: expected more than 0"},
		{`{"token": "", "plain": "", "ratio": 1.1}`, "ratio: expected at most 1"},
		{`{"token": "", "plain": "", "ratio": 1e-999999999}`, ""},
		{`{"token": "", "plain": "", "step": 7}`, "step: expected a multiple of 5"},
		{`{"token": "", "plain": "", "timeout": 99}`, "timeout: expected at least 100 ms"},
		{`{"token": "", "plain": "", "clients": []}`, "clients: expected at least 1 in the list, not 0"},
		{`{"token": "", "plain": "", "tags": ["a", "b", "c"]}`, "tags: expected at most 2 in the list, not 3"},
		{`{"token": "", "plain": "", "tags": ["a", "a"]}`, "tags: expected no two elements that are the same"},
		{`{"token": "", "plain": "", "tags": ["z"]}`, "tags[0]: expected one of a, b, c"},
		{`{"token": "", "plain": "", "hidden": "x"}`, "hidden: unknown key"},
		{`{"token": "", "plain": "", "-": "x"}`, "-: unknown key"},
		{`{"token": "", "plain": "", "nope": "x"}`, "nope: unknown key"},
		{`{"token": "", "plain": "", "tree": {"branches": [{"twigs": 1}]}}`, "tree.branches[0].twigs: unknown key"},
	} {
		got := ""
		if err := NewConfig("c", []byte(test.section)).Decode(&every{}); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.section, got, test.want)
		}
	}
}

// bot has its settings within itself.
type bot struct {
	Token   string        `json:"token" jsonschema:"required,writeOnly=true"`
	Timeout time.Duration `json:"timeout"`
}

func (*bot) Describe() Manifest                       { return Manifest{Name: "bot"} }
func (b *bot) Config() any                            { return b }
func (*bot) Deliver(context.Context, *Delivery) error { return nil }
func (b *bot) Validate(config *Config) error {
	if b.Timeout > time.Minute {
		return Invalid("timeout", "too long")
	}
	if b.Timeout == 0 {
		config.Warn("timeout", "none")
	}
	return nil
}

func configure(t *testing.T, p Plugin, section string) ([]string, *server) {
	t.Helper()
	s := newServer(p)
	t.Cleanup(s.cancel)
	response, err := s.Configure(t.Context(), &pluginpb.ConfigureRequest{Channel: "bot", Config: []byte(section)})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, d := range response.GetDiagnostics() {
		said = append(said, d.GetPath()+": "+d.GetMessage())
	}
	return said, s
}

func TestConfigurableIsDecodedAndValidated(t *testing.T) {
	b := &bot{Timeout: time.Second}
	said, s := configure(t, b, `{"token": "t0ken", "timeout": 2000}`)
	if len(said) > 0 || b.Token != "t0ken" || b.Timeout != 2*time.Second {
		t.Errorf("%q, %+v", said, b)
	}
	// What the operator wrote is no default.
	manifest, err := s.Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: pluginpb.ProtocolVersion})
	if err != nil {
		t.Fatal(err)
	}
	if schema := string(manifest.GetConfigSchema()); !strings.Contains(schema, `"default":1000`) || strings.Contains(schema, "t0ken") {
		t.Errorf("schema %s", schema)
	}

	for section, want := range map[string]string{
		`{"token": "t", "timeout": 60001}`: "timeout: too long",
		`{"token": "t", "timeout": 0}`:     "timeout: none",
		`{"timeout": 60001}`:               "token: missing",
	} {
		if said, _ := configure(t, &bot{}, section); strings.Join(said, "\n") != want {
			t.Errorf("%s: %q", section, said)
		}
	}
}

func TestManifestTellsWhatShows(t *testing.T) {
	manifest, err := newServer(&bot{}).Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: pluginpb.ProtocolVersion})
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest.GetRoles(); len(got) != 1 || got[0] != RoleEgress || manifest.GetSdk() != "mpush-go "+Version {
		t.Errorf("roles %v, sdk %q", got, manifest.GetSdk())
	}
}

type unwritable struct{ bot }

func (*unwritable) Config() any { return "no struct" }

func TestDescribeFailsWithoutASchema(t *testing.T) {
	if _, err := newServer(&unwritable{}).Describe(t.Context(), &pluginpb.DescribeRequest{Protocol: pluginpb.ProtocolVersion}); err == nil || !strings.Contains(err.Error(), "expected a pointer to a struct") {
		t.Errorf("%v", err)
	}
}

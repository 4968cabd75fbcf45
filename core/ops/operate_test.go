package ops

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v4"
)

// operateFile is one of those for operators.
func operateFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operate/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// labelsOf are a metric's, sorted.
func labelsOf(f *dto.MetricFamily) (labels []string) {
	for _, l := range f.Metric[0].Label {
		labels = append(labels, l.GetName())
	}
	slices.Sort(labels)
	return labels
}

// all gathers the metrics; on systems where some are not known there is nothing to
// compare with.
func all(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	families := gather(t, watched(still()))
	if families["mpush_plugin_open_fds"] == nil || families["process_open_fds"] == nil {
		t.Skip("this system does not tell what processes use: run the test on Linux")
	}
	return families
}

func TestThePageOfMetricsSaysWhatThereIs(t *testing.T) {
	families := all(t)
	row := regexp.MustCompile("(?m)^\\| `(mpush_[a-z_]+)` \\| (\\w+) \\| ([^|]*) \\| ([^|]*) \\| (.+) \\|$")
	said := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(operateFile(t, "metrics.md"), -1) {
		name, kind, labels := m[1], m[2], m[3]
		said[name] = true
		family := families[name]
		if family == nil {
			t.Errorf("metrics.md has %s, which there is not", name)
			continue
		}
		if got := strings.ToLower(family.GetType().String()); got != kind {
			t.Errorf("%s is a %s, not a %s", name, got, kind)
		}
		var given []string
		for _, l := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(labels, -1) {
			given = append(given, l[1])
		}
		slices.Sort(given)
		if got := labelsOf(family); !slices.Equal(got, given) {
			t.Errorf("%s has the labels %v, the page says %v", name, got, given)
		}
		for _, metric := range family.Metric {
			for _, l := range metric.Label {
				word := l.GetName() == "reason" || l.GetName() == "outcome"
				if word && !strings.Contains(m[5], "`"+l.GetValue()+"`") {
					t.Errorf("%s: the page does not say what %s %q is", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "mpush_") && !said[name] {
			t.Errorf("metrics.md does not say what %s is", name)
		}
	}
}

// scraped are the labels that Prometheus adds.
var scraped = []string{"instance", "job"}

// judge checks that an expression is PromQL about series that there are.
func judge(t *testing.T, where, text string, families map[string]*dto.MetricFamily) {
	t.Helper()
	// Grafana's words in it, as Grafana fills them in.
	text = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(text)
	expr, err := metricsql.Parse(text)
	if err != nil {
		t.Errorf("%s: %s: %v", where, text, err)
		return
	}
	var known []string // labels of all metrics in it
	found := false
	metricsql.VisitAll(expr, func(e metricsql.Expr) {
		metric, is := e.(*metricsql.MetricExpr)
		if !is {
			return
		}
		for _, filters := range metric.LabelFilterss {
			name := filters[0].Value
			if filters[0].Label != "__name__" || filters[0].IsRegexp || filters[0].IsNegative {
				t.Errorf("%s: %s: a series without a name", where, text)
				return
			}
			found = true
			labels, there := seriesLabels(name, families)
			if !there {
				t.Errorf("%s: there is no series %s", where, name)
				return
			}
			known = append(known, labels...)
			for _, filter := range filters[1:] {
				if !slices.Contains(labels, filter.Label) {
					t.Errorf("%s: %s has no label %s", where, name, filter.Label)
				}
				if values := valuesOf(families[name], filter.Label); !filter.IsRegexp && len(values) > 0 && !slices.Contains(values, filter.Value) {
					t.Errorf("%s: %s has no %s %q", where, name, filter.Label, filter.Value)
				}
			}
		}
	})
	if !found {
		t.Errorf("%s: %s is about no series", where, text)
	}
	metricsql.VisitAll(expr, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.AggrFuncExpr:
			for _, label := range e.Modifier.Args {
				if !slices.Contains(known, label) {
					t.Errorf("%s: %s %s a label that there is not, %s", where, e.Name, e.Modifier.Op, label)
				}
			}
			if e.Limit != 0 || len(e.Args) != 1 {
				t.Errorf("%s: %s is not PromQL", where, text)
			}
		case *metricsql.FuncExpr:
			ranged, isRollup := map[string]int{"rate": 0, "increase": 0, "deriv": 0, "predict_linear": 0}[e.Name]
			if !isRollup && e.Name != "histogram_quantile" {
				t.Errorf("%s: add %s to what this test knows to be PromQL", where, e.Name)
			}
			if isRollup {
				if r, is := e.Args[ranged].(*metricsql.RollupExpr); !is || r.Window == nil {
					t.Errorf("%s: %s without a range is not PromQL", where, e.Name)
				}
			}
		case *metricsql.BinaryOpExpr:
			if slices.Contains([]string{"default", "if", "ifnot"}, e.Op) {
				t.Errorf("%s: %s is not PromQL", where, e.Op)
			}
		}
	})
}

// seriesLabels are those of a series by the name that a query has for it.
func seriesLabels(name string, families map[string]*dto.MetricFamily) (labels []string, there bool) {
	labels = slices.Clone(scraped)
	if name == "up" { // Prometheus' own, of each target
		return labels, true
	}
	if f := families[name]; f != nil && f.GetType() != dto.MetricType_HISTOGRAM {
		return append(labels, labelsOf(f)...), true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, cut := strings.CutSuffix(name, suffix); cut && families[base].GetType() == dto.MetricType_HISTOGRAM {
			labels = append(labels, labelsOf(families[base])...)
			if suffix == "_bucket" {
				labels = append(labels, "le")
			}
			return labels, true
		}
	}
	return nil, false
}

// valuesOf are what a label may be, where that does not depend on the operator.
func valuesOf(f *dto.MetricFamily, label string) (values []string) {
	if label != "reason" && label != "outcome" {
		return nil
	}
	for _, metric := range f.GetMetric() {
		for _, l := range metric.Label {
			if l.GetName() == label {
				values = append(values, l.GetValue())
			}
		}
	}
	return values
}

func TestAlertsAskForWhatThereIs(t *testing.T) {
	families := all(t)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(operateFile(t, "alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	page, rules := operateFile(t, "README.md"), 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			rules++
			judge(t, rule.Alert, rule.Expr, families)
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" {
				t.Errorf("%s has no severity or no summary", rule.Alert)
			}
			if !strings.Contains(page, "| "+rule.Alert+" |") {
				t.Errorf("README.md does not say what to do about %s", rule.Alert)
			}
			if rule.For != "" {
				if _, err := metricsql.PositiveDurationValue(rule.For, 0); err != nil {
					t.Errorf("%s: for: %v", rule.Alert, err)
				}
			}
		}
	}
	if got := strings.Count(page, "| Mpush"); got != rules {
		t.Errorf("README.md speaks of %d alerts, there are %d", got, rules)
	}
}

// dashboard is what the test looks at.
type dashboard struct {
	Inputs []struct {
		Name string
		Type string
	} `json:"__inputs"`
	Panels []struct {
		Title      string
		Type       string
		Datasource struct{ UID string }
		Targets    []struct {
			Expr       string
			Datasource struct{ UID string }
		}
		GridPos struct{ X, Y, W, H int }
	}
}

func TestDashboardAsksForWhatThereIs(t *testing.T) {
	families := all(t)
	var d dashboard
	if err := json.Unmarshal([]byte(operateFile(t, "grafana-dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Inputs) != 1 || d.Inputs[0].Name != "DS_PROMETHEUS" || d.Inputs[0].Type != "datasource" {
		t.Errorf("inputs %+v", d.Inputs)
	}
	taken, shown := make(map[[2]int]string), ""
	for _, p := range d.Panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is over %s, or over the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${DS_PROMETHEUS}" {
			t.Errorf("%s has no targets or no data source", p.Title)
		}
		for _, target := range p.Targets {
			judge(t, p.Title, target.Expr, families)
			if target.Datasource.UID != "${DS_PROMETHEUS}" {
				t.Errorf("%s: a target has no data source", p.Title)
			}
			shown += target.Expr + "\n"
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "mpush_") && !strings.Contains(shown, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

func TestWrongQueriesAreFound(t *testing.T) {
	families := all(t)
	for _, query := range []string{
		"mpush_absent", "mpush_queue_messages{receiver=\"x\"}", "sum by (receiver) (mpush_receivers)", "rate(mpush_acks_total)",
		"mpush_ack_seconds", "mpush_dead_letters_total{reason=\"lost\"}", "sum(", "1",
	} {
		spy := &testing.T{}
		judge(spy, "here", query, families)
		if !spy.Failed() {
			t.Errorf("%s passes", query)
		}
	}
}

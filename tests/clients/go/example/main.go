// Publishes a scraping task and waits for its outcome, then asks about what the fleet has read.
// go run ./example [URL], with the server's address in NATS_URL.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type task struct {
	Status string
	Result struct {
		Title, Answer string
		Sources       []string
	}
}

// Submits a task by a plain publish, and returns its record once that is its outcome.
func scrape(nc *nats.Conn, url string) (record task) {
	// With an id of our own we can listen before we publish, so that nothing is missed.
	id := fmt.Sprintf("example-%d", time.Now().UnixNano())
	records := must(nc.SubscribeSync("outcomes.scraping." + id))
	// The PubAck means that the task is stored; from then on it ends in exactly one outcome.
	body := fmt.Appendf(nil, `{"url": %q}`, url)
	must(must(jetstream.New(nc)).Publish(context.Background(), "tasks.scraping.normal."+id, body))
	for record.Status != "completed" {
		message := must(records.NextMsg(time.Minute))
		must(0, json.Unmarshal(message.Data, &record))
		if s := record.Status; s == "failed" || s == "cancelled" || s == "expired" {
			log.Fatalf("the task has %s: %s", s, message.Data)
		}
	}
	return record
}

func main() {
	nc := must(nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL)))
	page := scrape(nc, append(os.Args, "https://example.com/")[1])
	fmt.Println("title: ", page.Result.Title)

	// One request, and the outcome is its reply.
	reply := must(nc.Request("fleet.ask.query", []byte(`{"query": "How long does the warranty last?"}`), 10*time.Second))
	if refusal := reply.Header.Get("Nats-Service-Error"); refusal != "" {
		log.Fatal("the question was refused: ", refusal)
	}
	var answer task
	must(0, json.Unmarshal(reply.Data, &answer))
	fmt.Println("answer:", answer.Result.Answer, "from", answer.Result.Sources)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

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

type record struct {
	Status string
	Result struct {
		Title, Answer string
		Sources       []string
	}
}

var nc = must(nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL)))
var js = must(jetstream.New(nc))

// Submits a task and returns its record once that is its outcome.
func run(category, priority, payload string) (r record) {
	// With an id of our own we can listen before we publish, so that nothing is missed.
	id := fmt.Sprintf("example-%d", time.Now().UnixNano())
	records := must(nc.SubscribeSync("outcomes." + category + "." + id))
	defer records.Unsubscribe()
	// The PubAck means that the task is stored; from then on it ends in exactly one outcome.
	must(js.Publish(context.Background(), "tasks."+category+"."+priority+"."+id, []byte(payload)))
	for {
		message := must(records.NextMsg(time.Minute))
		must(0, json.Unmarshal(message.Data, &r))
		switch r.Status {
		case "completed":
			return r
		case "failed", "cancelled", "expired":
			log.Fatalf("the task has %s: %s", r.Status, message.Data)
		}
	}
}

func main() {
	url := "https://example.com/"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	fmt.Println("title: ", run("scraping", "normal", fmt.Sprintf(`{"url": %q}`, url)).Result.Title)

	answer := run("query", "critical", `{"query": "How long does the warranty last?"}`)
	fmt.Println("answer:", answer.Result.Answer)
	fmt.Println("from:  ", answer.Result.Sources)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

use super::*;

/// Of parcels with so many messages each.
fn batch(parcels: &[usize]) -> (Batch, Vec<oneshot::Receiver<usize>>) {
    let (told, words): (Vec<_>, _) = parcels.iter().map(|_| oneshot::channel()).unzip();
    let writer = |(told, messages): (_, &usize)| Writing {
        messages: *messages,
        refused: 0,
        told: Some(told),
    };
    let batch = Batch {
        number: 1,
        way: Way::OneByOne,
        sent_at: Instant::now(),
        writers: told.into_iter().zip(parcels).map(writer).collect(),
    };
    (batch, words)
}

/// How many are stored, to each who has been told.
fn heard(words: &mut [oneshot::Receiver<usize>]) -> Vec<Option<usize>> {
    words.iter_mut().map(|word| word.try_recv().ok()).collect()
}

fn said(json: &str) -> Answer {
    serde_json::from_str(json).unwrap()
}

const REFUSED: &str = r#"{"error":{"code":400,"err_code":10208},"stream":"S","seq":0}"#;

#[test]
fn what_is_counted_is_stored_and_the_rest_is_not() {
    let (mut batch, mut words) = batch(&[1, 3, 1]);
    assert!(!batch.hear(0, &said(r#"{"type":"ack","seq":0,"msgs":256}"#), false));
    let refused = r#"{"type":"err","seq":4,"error":{"code":400,"err_code":10071}}"#;
    assert!(!batch.hear(3, &said(refused), false));
    assert_eq!(heard(&mut words), [None; 3]);
    assert!(batch.hear(
        0,
        &said(r#"{"stream":"S","seq":9,"batch":"b","count":3}"#),
        false
    ));
    assert_eq!(heard(&mut words), [Some(1), Some(2), Some(0)]);
}

#[test]
fn who_is_refused_alone_knows_at_once() {
    let (mut batch, mut words) = batch(&[1, 1]);
    assert!(!batch.hear(1, &said(REFUSED), false));
    assert_eq!(heard(&mut words), [None, Some(0)]);
    assert!(batch.hear(0, &said(r#"{"count":1}"#), false));
    assert_eq!(heard(&mut words[..1]), [Some(1)]);
}

#[test]
fn a_batch_that_the_server_does_not_take_ends_with_its_last_refusal() {
    let (mut batch, mut words) = batch(&[2, 1]);
    assert!(!batch.hear(0, &said(REFUSED), false));
    assert!(!batch.hear(2, &said(REFUSED), false));
    assert!(batch.hear(1, &Answer::NONE, true));
    assert_eq!(heard(&mut words), [Some(0), Some(0)]);
}

#[test]
fn whoever_waits_for_a_batch_that_is_given_up_hears_nothing() {
    let (batch, mut words) = batch(&[2]);
    drop(batch);
    assert!(words[0].try_recv().is_err());
}

#[test]
fn a_batch_that_is_stored_at_once_is_refused_as_a_whole() {
    let (mut batch, mut words) = batch(&[2, 1]);
    batch.way = Way::AtOnce;
    assert!(batch.hear(2, &said(REFUSED), false));
    assert_eq!(heard(&mut words), [Some(0), Some(0)]);
}

#[test]
fn a_reply_tells_the_server_where_in_a_batch_it_is() {
    let told = |sequence, is_last| {
        let inbox = inbox_of("_INBOX.a", "a", 7);
        format!("{inbox}{sequence}{}", operation(sequence, is_last))
    };
    assert_eq!(told(1, false), "_INBOX.a.a-7.256.fail.1.0.$FI");
    assert_eq!(told(2, false), "_INBOX.a.a-7.256.fail.2.1.$FI");
    assert_eq!(told(3, true), "_INBOX.a.a-7.256.fail.3.2.$FI");
    assert_eq!(told(1, true), "_INBOX.a.a-7.256.fail.1.2.$FI");
}

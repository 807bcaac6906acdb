//! The model itself, against what numpy computes in double precision (`reference.py`). These
//! need its files: `./just test-dependencies` fetches them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod dependencies {
    use std::path::PathBuf;
    use std::sync::{Arc, OnceLock};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use flotilla_minilm::{Embedding, Local, Model, Scratch, TOKENS_MAX};
    use serde::Deserialize;
    use sha2::{Digest, Sha256};

    const DIFFERENCE_MAX: f32 = 1e-5;

    #[derive(Deserialize)]
    struct File {
        unicode: String,
        references: Vec<Reference>,
    }

    #[derive(Deserialize)]
    struct Reference {
        text: String,
        ids: Vec<u32>,
        vector: String,
    }

    impl Reference {
        fn difference(&self, embedding: &Embedding) -> f32 {
            let bytes = STANDARD.decode(&self.vector).unwrap();
            let exact = bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes);
            let differences = embedding.iter().zip(exact).map(|(a, b)| (a - b).abs());
            differences.fold(0.0, f32::max)
        }
    }

    fn reference() -> File {
        serde_json::from_str(include_str!("reference.json")).unwrap()
    }

    fn directory() -> PathBuf {
        let directory = std::env::var_os("FLOTILLA_MODEL_DIR");
        directory
            .expect(
                "set FLOTILLA_MODEL_DIR, or run ./just test-dependencies, which fetches the model",
            )
            .into()
    }

    fn model() -> &'static Model {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| Model::load(&directory()).unwrap())
    }

    #[test]
    fn texts_become_the_same_tokens() {
        for Reference { text, ids, .. } in reference().references {
            assert_eq!(model().token_ids(&text), ids, "{text:?}");
        }
    }

    #[test]
    fn every_character_becomes_the_same_tokens() {
        let scripts = [
            '\0'..'\u{5c8}',
            '\u{1e00}'..'\u{2e00}',
            '\u{3000}'..'\u{a000}',
            '\u{ac00}'..'\u{e000}',
            '\u{f900}'..'\u{10000}',
            '\u{20000}'..'\u{2fa20}',
        ];
        let mut digest = Sha256::new();
        for c in scripts.into_iter().flatten() {
            for id in model().token_ids(&format!("a{c}b")) {
                digest.update(id.to_le_bytes());
            }
        }
        assert_eq!(format!("{:x}", digest.finalize()), reference().unicode);
    }

    /// One by one and side by side, in either order.
    #[test]
    fn vectors_are_those_of_the_reference() {
        let references = reference().references;
        let mut texts: Vec<&str> = references.iter().map(|r| r.text.as_str()).collect();
        let mut scratch = Scratch::default();
        let mut check = |texts: &[&str], references: &mut dyn Iterator<Item = &Reference>| {
            for (embedding, reference) in model().embed(texts, &mut scratch).iter().zip(references)
            {
                let difference = reference.difference(embedding);
                assert!(
                    difference < DIFFERENCE_MAX,
                    "{difference}: {:?}",
                    reference.text
                );
            }
        };
        check(&texts, &mut references.iter());
        texts.reverse();
        check(&texts, &mut references.iter().rev());
        for reference in &references {
            check(&[&reference.text], &mut std::iter::once(reference));
        }
    }

    #[tokio::test]
    async fn questions_and_documents_have_equal_vectors_and_one_model() {
        let local = Local::load(&directory()).unwrap();
        assert!(Arc::ptr_eq(&local, &Local::load(&directory()).unwrap()));
        let references = reference().references;
        let texts: Vec<String> = references.iter().map(|r| r.text.clone()).collect();
        // Nobody waits for these.
        drop(local.embed_documents(vec!["word ".repeat(TOKENS_MAX); 40]));
        let documents = local.embed_documents(texts).await.unwrap();
        assert_eq!(documents.len(), references.len());
        for (reference, document) in references.iter().zip(&documents) {
            assert!(reference.difference(document) < DIFFERENCE_MAX);
            let question = local.embed_question(reference.text.clone()).await.unwrap();
            assert!(reference.difference(&question) < DIFFERENCE_MAX);
        }
    }
}

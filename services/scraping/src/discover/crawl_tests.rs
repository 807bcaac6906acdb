use super::*;

fn options(json: &str) -> Discover {
    serde_json::from_str(json).unwrap()
}

fn url(path: &str) -> Url {
    Url::parse("https://docs.example.com/")
        .unwrap()
        .join(path)
        .unwrap()
}

fn seen(at: &str, links: &[&str]) -> Seen {
    let link = |path: &&str| SeenLink {
        url: url(path).into(),
        nofollow: path.ends_with("#nofollow"),
    };
    Seen {
        final_url: url(at).into(),
        content_hash: at.to_owned(),
        canonical_url: None,
        nofollow: false,
        links: links.iter().map(link).collect(),
    }
}

fn done() -> End {
    End::Completed("1".to_owned())
}

fn paths(crawl: &Crawl) -> Vec<String> {
    let path = |page: &Page| {
        format!(
            "{}{}",
            page.depth,
            &page.url["https://docs.example.com".len()..]
        )
    };
    crawl.pages.iter().map(path).collect()
}

#[test]
fn pages_are_found_once_breadth_first() {
    let options = options(r#"{"depth":1}"#);
    let mut crawl = Crawl::new(&url("/a/?utm_source=x"));
    let links = [
        "/a",
        "/b",
        "/b/",
        "/b#part",
        "/b?utm_campaign=1",
        "/c?y=1&x=2",
        "/c?x=2&y=1",
        "/d.png",
        "https://other.example/",
        "/e#nofollow",
        "mailto:a@example.com",
    ];
    crawl.absorb(done(), Some(&seen("/a/", &links)), &options);
    assert_eq!(paths(&crawl), ["0/a/?utm_source=x", "1/b", "1/c?y=1&x=2"]);
    crawl.absorb(done(), Some(&seen("/b", &["/f", "/a"])), &options);
    let counts = |why| crawl.left_out.get(&why).map_or(0, |left| left.links);
    assert_eq!(
        [Why::OtherSite, Why::NoPage, Why::Nofollow, Why::BeyondDepth].map(counts),
        [2, 1, 1, 1]
    );
    assert_eq!(
        crawl.left_out[&Why::BeyondDepth].for_example,
        ["https://docs.example.com/f"]
    );
}

#[test]
fn patterns_and_numbers_bound_it() {
    let options = options(r#"{"include":["/docs/"],"exclude":["/docs/*/print$"],"pages_max":3}"#);
    let mut crawl = Crawl::new(&url("/start"));
    let links = ["/blog", "/docs/a", "/docs/a/print", "/docs/b", "/docs/c"];
    crawl.absorb(done(), Some(&seen("/start", &links)), &options);
    assert_eq!(paths(&crawl), ["0/start", "1/docs/a", "1/docs/b"]);
    assert_eq!(crawl.left_out[&Why::Excluded].links, 2);
    assert_eq!(crawl.left_out[&Why::BeyondPagesMax].links, 1);
}

#[test]
fn what_a_page_calls_itself_is_believed_for_its_query_only() {
    let options = options("{}");
    let mut crawl = Crawl::new(&url("/"));
    let with_canonical = |at: &str, canonical: &str, links: &[&str]| Seen {
        canonical_url: Some(url(canonical).into()),
        ..seen(at, links)
    };
    crawl.absorb(
        done(),
        Some(&seen("/", &["/list?sort=a", "/old/page"])),
        &options,
    );
    let list = with_canonical("/list?sort=a", "/list", &["/list", "/list?sort=b"]);
    crawl.absorb(done(), Some(&list), &options);
    crawl.absorb(
        done(),
        Some(&with_canonical("/old/page", "/new/page", &[])),
        &options,
    );
    let expected = [
        "0/",
        "1/list?sort=a",
        "1/old/page",
        "2/list?sort=b",
        "1/new/page",
    ];
    assert_eq!(paths(&crawl), expected);
}

#[test]
fn a_redirect_makes_no_second_page_and_leaves_the_site_for_nothing() {
    let options = options("{}");
    let mut crawl = Crawl::new(&url("/"));
    crawl.absorb(done(), Some(&seen("/en/", &["/a", "/en"])), &options);
    let elsewhere = Seen {
        final_url: "https://other.example/".to_owned(),
        ..seen("/a", &["/b"])
    };
    crawl.absorb(done(), Some(&elsewhere), &options);
    crawl.absorb(End::Failed("http_404".to_owned()), None, &options);
    assert_eq!(paths(&crawl), ["0/", "1/a"]);
}

#[test]
fn it_survives_its_checkpoint_and_fits_into_it() {
    let options = options(r#"{"pages_max":1000}"#);
    let mut crawl = Crawl::new(&url("/"));
    let links: Vec<_> = (0..999)
        .map(|n| format!("/manual/chapter-{n}/section.html"))
        .collect();
    let links: Vec<_> = links.iter().map(String::as_str).collect();
    crawl.absorb(done(), Some(&seen("/", &links)), &options);
    crawl.fit(1);
    assert_eq!(crawl.pages.len(), 1000, "usual addresses all fit");
    assert_eq!(Crawl::unpack(&crawl.pack()), Some(crawl.clone()));
    crawl.offer(&url("/manual/chapter-7/section.html"), 1, &options);
    assert_eq!(crawl.left_out, BTreeMap::new());

    let mut hostile = Crawl::new(&url("/"));
    let links: Vec<_> = (0..999u64)
        .map(|n| {
            let noise = (0..12)
                .map(|k| format!("{:016x}", (n * 31 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            format!("/{}", noise.collect::<String>())
        })
        .collect();
    let links: Vec<_> = links.iter().map(String::as_str).collect();
    hostile.absorb(done(), Some(&seen("/", &links)), &options);
    hostile.fit(1);
    assert!(hostile.pack().len() <= PACKED_BYTES_MAX);
    let dropped = hostile.left_out[&Why::BeyondMemory].links;
    assert_eq!(hostile.pages.len() + dropped, 1000);
}

#[test]
fn of_a_sitemap_what_is_beside_the_start_comes_first() {
    let options = options(r#"{"pages_max":3}"#);
    let start = url("/docs/");
    let mut crawl = Crawl::new(&start);
    crawl.site = Some(Site::of(&start));
    let found = Sitemap {
        pages: ["/blog", "/docs/a", "https://other.example/", "/docs/b"]
            .map(str::to_owned)
            .into(),
        sitemaps: vec!["/more.xml".to_owned()],
    };
    assert_eq!(crawl.take_in(found, &start, &options), 5);
    assert_eq!(paths(&crawl), ["0/docs/", "0/docs/a", "0/docs/b"]);
    assert_eq!(crawl.left_out[&Why::BeyondPagesMax].links, 1);
    assert_eq!(crawl.left_out[&Why::OtherSite].links, 1);
    assert_eq!(crawl.sitemaps.next().as_deref(), Some("/more.xml"));
}

use super::*;

fn rules(text: &str) -> Rules {
    Rules::parse(text, "Flotilla")
}

#[test]
fn patterns_match_as_the_rfc_says() {
    let table = [
        ("/", "/anything", true),
        ("/fish", "/fish", true),
        ("/fish", "/fish.html", true),
        ("/fish", "/fishheads/yummy.html", true),
        ("/fish", "/Fish.asp", false),
        ("/fish", "/catfish", false),
        ("/fish*", "/fish/salmon", true),
        ("/fish/", "/fish", false),
        ("/*.php", "/folder/any.php.file.html", true),
        ("/*.php", "/windows.PHP", false),
        ("/*.php$", "/filename.php", true),
        ("/*.php$", "/filename.php?parameters", false),
        ("/fish*.php", "/fishheads/catfish.php?id=1", true),
        ("/a*b*c", "/a-c-b", false),
        ("/a*b*c", "/a-b-c-d", true),
        ("/a*a$", "/a", false),
        ("/$", "/", true),
        ("/$", "/a", false),
        ("*", "/a", true),
        ("*/b", "/a/b", true),
    ];
    for (pattern, path, expected) in table {
        assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn spellings_of_a_path_are_one() {
    assert_eq!(normalize("/a%3cd.html"), "/a%3Cd.html");
    assert_eq!(normalize("/%7Ejoe/%61"), "/~joe/a");
    assert_eq!(normalize("/a%2fb"), "/a%2Fb");
    assert_eq!(normalize("/ツ"), "/%E3%83%84");
    assert_eq!(normalize("/100%/%zz%"), "/100%/%zz%");
}

#[test]
fn the_longest_pattern_decides_and_allow_wins_ties() {
    let rules = rules("User-agent: *\nAllow: /docs\nDisallow: /\nAllow: /p\nDisallow: /p\n");
    assert!(rules.allow("/docs/a"));
    assert!(!rules.allow("/other"));
    assert!(rules.allow("/p"));
    assert!(rules.allow("/robots.txt"));
}

#[test]
fn our_own_group_replaces_the_common_one() {
    let text = "\u{feff}User-Agent: *\r\nDisallow: /\r\n\r\n\
        user-agent: OtherBot\nuser-agent: flotilla/2.0 # us\nDisallow: /private\n\
        Sitemap: https://example.com/s.xml\n\
        User-agent: Third\nDisallow: /docs\n\
        User-agent: Flotilla\nDisallow: /more\nCrawl-delay: 1.5\n";
    let rules = rules(text);
    assert!(rules.allow("/docs"));
    assert!(!rules.allow("/private/x"));
    assert!(!rules.allow("/more"));
    assert_eq!(rules.crawl_delay, Some(Duration::from_millis(1500)));
    assert_eq!(rules.sitemaps, ["https://example.com/s.xml"]);
}

#[test]
fn an_empty_group_of_ours_allows_all() {
    assert!(rules("User-agent: *\nDisallow: /\n\nUser-agent: Flotilla\nDisallow:\n").allow("/a"));
    assert!(rules("").allow("/a"));
    assert!(rules("<html>not found</html>").allow("/a"));
    assert!(rules("Disallow: /\nUser-agent: *\n").allow("/a"));
}

#[test]
fn nonsense_in_numbers_is_ignored() {
    for delay in ["-1", "NaN", "inf", "1e300", "soon", ""] {
        let rules = rules(&format!("User-agent: *\nCrawl-delay: {delay}\n"));
        assert_eq!(rules.crawl_delay, None, "{delay}");
    }
}

#[test]
fn hostile_files_stay_small_and_fast() {
    let mut text = String::from("User-agent: *\n");
    for _ in 0..RULES_MAX + 10 {
        text.push_str(&format!("Disallow: /{}b\n", "a*".repeat(100)));
    }
    let rules = rules(&text);
    assert_eq!(rules.rules.len(), RULES_MAX);
    let started = std::time::Instant::now();
    assert!(rules.allow(&format!("/{}", "a".repeat(8_000))));
    assert!(started.elapsed() < Duration::from_secs(2));
}

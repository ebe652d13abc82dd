/* signature and dialects: vectors made with other implementations (openssl, the specification's own
 * example), and what verification says about damaged input. */
#include "ingest/deliver/dialects.h"
#include "ingest/deliver/signature.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The example of the Standard Webhooks specification. */
#define SPEC_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SPEC_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define SPEC_BODY "{\"test\": 2432232314}"
#define SPEC_TIME 1614265330
#define SPEC_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
/* printf '1614265330.{"test": 2432232314}' | openssl dgst -sha256 -hmac "$SPEC_SECRET" */
#define SPEC_HEX "2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964"

#define STR(text) bytes_of_str(text)

static void the_postern_signature_is_keyed_with_the_secrets_characters(void **state)
{
    (void)state;
    char hex[65];
    signature_postern(STR(SPEC_SECRET), SPEC_TIME, STR(SPEC_BODY), hex);
    assert_string_equal(hex, SPEC_HEX);
}

static void the_standard_signature_is_that_of_the_specification(void **state)
{
    (void)state;
    struct bytes secret = STR(SPEC_SECRET);
    CLEANUP(buf_fini) struct buf out = {0};
    signature_standard(&secret, 1, STR(SPEC_ID), SPEC_TIME, STR(SPEC_BODY), &out);
    assert_string_equal(buf_str(&out), SPEC_SIGNATURE);
}

static void two_secrets_give_two_signatures_in_order(void **state)
{
    (void)state;
    char other[WEBHOOK_SECRET_CHARS + 1];
    webhook_secret_generate(other);
    struct bytes secrets[] = {STR(SPEC_SECRET), STR(other)};
    CLEANUP(buf_fini) struct buf out = {0};
    signature_standard(secrets, 2, STR(SPEC_ID), SPEC_TIME, STR(SPEC_BODY), &out);
    assert_memory_equal(out.data, SPEC_SIGNATURE " v1,", strlen(SPEC_SIGNATURE " v1,"));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(signature_standard_verify(secrets[i], STR(SPEC_ID), SPEC_TIME, SPEC_TIME,
                                                   300, STR(SPEC_BODY), buf_bytes(&out)),
                         SIGNATURE_GOOD);
}

static void generated_secrets_are_well_formed_and_differ(void **state)
{
    (void)state;
    char a[WEBHOOK_SECRET_CHARS + 1], b[WEBHOOK_SECRET_CHARS + 1];
    webhook_secret_generate(a);
    webhook_secret_generate(b);
    assert_int_equal(strlen(a), WEBHOOK_SECRET_CHARS);
    assert_int_equal(webhook_secret_check(STR(a)), STATUS_OK);
    assert_string_not_equal(a, b);
}

static void malformed_secrets_are_invalid(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "whsec_",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa",   /* 22 bytes and no padding */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLA==", /* 22 bytes */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", /* 72 bytes */
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_int_equal(webhook_secret_check(STR(BAD[i])), STATUS_INVALID);
}

static enum signature_verdict verify(const char *hex, const char *body, int64_t now_s)
{
    return signature_verify(STR(SPEC_SECRET), SPEC_TIME, now_s, 300, STR(body), STR(hex));
}

static void verification_tells_bad_old_and_malformed_apart(void **state)
{
    (void)state;
    assert_int_equal(verify(SPEC_HEX, SPEC_BODY, SPEC_TIME), SIGNATURE_GOOD);
    assert_int_equal(verify(SPEC_HEX, SPEC_BODY, SPEC_TIME + 300), SIGNATURE_GOOD);
    assert_int_equal(verify(SPEC_HEX, SPEC_BODY, SPEC_TIME - 300), SIGNATURE_GOOD);
    assert_int_equal(verify(SPEC_HEX, SPEC_BODY, SPEC_TIME + 301), SIGNATURE_TOO_OLD);
    assert_int_equal(verify(SPEC_HEX, SPEC_BODY, SPEC_TIME - 301), SIGNATURE_TOO_OLD);
    assert_int_equal(verify(SPEC_HEX, "{\"test\":2432232314}", SPEC_TIME), SIGNATURE_BAD);
    assert_int_equal(verify("00", SPEC_BODY, SPEC_TIME), SIGNATURE_MALFORMED);
    assert_int_equal(verify("", SPEC_BODY, SPEC_TIME), SIGNATURE_MALFORMED);
    assert_int_equal(verify("sha256=" SPEC_HEX, SPEC_BODY, SPEC_TIME), SIGNATURE_MALFORMED);
}

static enum signature_verdict verify_standard(const char *signatures, int64_t timestamp_s,
                                              int64_t now_s)
{
    return signature_standard_verify(STR(SPEC_SECRET), STR(SPEC_ID), timestamp_s, now_s, 300,
                                     STR(SPEC_BODY), STR(signatures));
}

static void standard_verification_takes_any_good_v1_of_the_list(void **state)
{
    (void)state;
    assert_int_equal(verify_standard(SPEC_SIGNATURE, SPEC_TIME, SPEC_TIME), SIGNATURE_GOOD);
    assert_int_equal(verify_standard("v1a,xyz v1,AAAA " SPEC_SIGNATURE, SPEC_TIME, SPEC_TIME),
                     SIGNATURE_GOOD);
    assert_int_equal(verify_standard(SPEC_SIGNATURE, SPEC_TIME, SPEC_TIME + 301),
                     SIGNATURE_TOO_OLD);
    assert_int_equal(verify_standard(SPEC_SIGNATURE, SPEC_TIME + 1, SPEC_TIME), SIGNATURE_BAD);
    assert_int_equal(verify_standard("", SPEC_TIME, SPEC_TIME), SIGNATURE_MALFORMED);
    assert_int_equal(verify_standard("v2,abc", SPEC_TIME, SPEC_TIME), SIGNATURE_MALFORMED);
    assert_int_equal(verify_standard("v1,###", SPEC_TIME, SPEC_TIME), SIGNATURE_MALFORMED);
}

static void ages_beyond_all_numbers_do_not_overflow(void **state)
{
    (void)state;
    char hex[65];
    signature_postern(STR("s"), INT64_MIN, STR("b"), hex);
    assert_int_equal(signature_verify(STR("s"), INT64_MIN, INT64_MAX, 300, STR("b"), STR(hex)),
                     SIGNATURE_TOO_OLD);
}

/* The header lines of a dialect for two secrets "one" and "two", time 1700000000, body "{}". */
static const char *lines(struct buf *out, const char *name, const char *header,
                         const char *encoding, const char *content)
{
    struct dialect dialect;
    struct err err = {0};
    assert_int_equal(dialect_resolve(name, header, encoding, content, &dialect, &err), STATUS_OK);
    struct bytes secrets[] = {STR("one"), STR("two")};
    buf_clear(out);
    dialect_put(&dialect, secrets, 2, STR("dlv_1"), 1700000000, STR("{}"), out);
    return buf_str(out);
}

static void each_dialect_writes_its_own_header(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    assert_string_equal(lines(&out, "", "", "", ""), "");
    assert_string_equal(lines(&out, "standard", "", "", ""), "");
    assert_string_equal(
        lines(&out, "github", "", "", ""),
        "X-Hub-Signature-256: "
        "sha256=32abb24f170dc0c6fb1a5b1d51e1c4ae4edb46e4e9dc8351091a6184d6ef4798\r\n");
    assert_string_equal(lines(&out, "shopify", "", "", ""),
                        "X-Shopify-Hmac-Sha256: MquyTxcNwMb7GlsdUeHErk7bRuTp3INRCRphhNbvR5g=\r\n");
    assert_string_equal(
        lines(&out, "slack", "", "", ""),
        "X-Slack-Signature: v0=b9b905055c77ca73bd3023d4fe373877e5f63c4bc690b376dc493d26d084d097\r\n"
        "X-Slack-Request-Timestamp: 1700000000\r\n");
    assert_string_equal(
        lines(&out, "stripe", "", "", ""),
        "Stripe-Signature: "
        "t=1700000000,v1=4d15bf3ea0a52170f550b594e8e29052cb85827caad0da7695dbbffb71a5643e,v1="
        "6b2c02aeeca6f7d4bcea47d661d982059bff28ff135a74fbe621ed4a9a4941fe\r\n");
}

static void an_endpoints_own_choices_lie_over_the_dialect(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = {0};
    assert_string_equal(
        lines(&out, "standard", "X-My-Signature", "hex", "timestamp.body"),
        "X-My-Signature: 4d15bf3ea0a52170f550b594e8e29052cb85827caad0da7695dbbffb71a5643e\r\n");
    assert_string_equal(lines(&out, "github", "X-Sig", "base64", "body"),
                        "X-Sig: sha256=MquyTxcNwMb7GlsdUeHErk7bRuTp3INRCRphhNbvR5g=\r\n");
    assert_string_equal(
        lines(&out, "", "X-Sig", "", "id.timestamp.body"),
        "X-Sig: 6cdbcc671fbbddb9883160b94c0acd61b6091b7e85c97eb65be10cbac7b2253b\r\n");
}

static void unknown_dialects_and_choices_are_invalid(void **state)
{
    (void)state;
    struct dialect dialect;
    struct err err = {0};
    assert_int_equal(dialect_resolve("gitlab", "", "", "", &dialect, &err), STATUS_INVALID);
    assert_int_equal(dialect_resolve("", "X y", "", "", &dialect, &err), STATUS_INVALID);
    assert_int_equal(dialect_resolve("", "Host", "", "", &dialect, &err), STATUS_INVALID);
    assert_int_equal(dialect_resolve("", "", "base32", "", &dialect, &err), STATUS_INVALID);
    assert_int_equal(dialect_resolve("", "", "", "url", &dialect, &err), STATUS_INVALID);
}

static void headers_that_postern_needs_or_that_break_lines_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(delivery_header_check("X-Team", "orders \xc3\xa9", &err), STATUS_OK);
    assert_int_equal(delivery_header_check("Authorization", "Bearer x", &err), STATUS_OK);
    static const char *const REFUSED[] = {"host",
                                          "Content-Length",
                                          "transfer-encoding",
                                          "X-Webhook-ID",
                                          "webhook-id",
                                          "proxy-authorization",
                                          "",
                                          "a b",
                                          "a:b",
                                          "a\r\nb",
                                          "caf\xc3\xa9"};
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++)
        assert_int_equal(delivery_header_check(REFUSED[i], "x", &err), STATUS_INVALID);
    assert_int_equal(delivery_header_check("X-Team", "a\r\nb: c", &err), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_postern_signature_is_keyed_with_the_secrets_characters),
        cmocka_unit_test(the_standard_signature_is_that_of_the_specification),
        cmocka_unit_test(two_secrets_give_two_signatures_in_order),
        cmocka_unit_test(generated_secrets_are_well_formed_and_differ),
        cmocka_unit_test(malformed_secrets_are_invalid),
        cmocka_unit_test(verification_tells_bad_old_and_malformed_apart),
        cmocka_unit_test(standard_verification_takes_any_good_v1_of_the_list),
        cmocka_unit_test(ages_beyond_all_numbers_do_not_overflow),
        cmocka_unit_test(each_dialect_writes_its_own_header),
        cmocka_unit_test(an_endpoints_own_choices_lie_over_the_dialect),
        cmocka_unit_test(unknown_dialects_and_choices_are_invalid),
        cmocka_unit_test(headers_that_postern_needs_or_that_break_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
